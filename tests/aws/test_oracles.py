"""Our requests are compared with requests that others send to AWS, and are sent to the local SageMaker.

The others' requests have two sources: the SageMaker controller of AWS Controllers for Kubernetes (ACK), which runs them against AWS, and
the samples of the developer guide (tests/sagemaker/others.py).
"""

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from launch.aws.requests import calls, hosting
from launch.aws.senders.differences import unlike
from launch.aws.specification import Capture, Channel, Hosting, Identity, Machines, Range, Training, Transform, Tuning
from tests.aws.driver import PROGRAMS
from tests.aws.specifications import GOOD, MODEL, changed
from tests.sagemaker import others
from tests.sagemaker.conftest import ROLE, TRAIN_IMAGE, Emulator, emulate
from train.config import METRIC_DEFINITIONS

TAGS = {tag["Key"]: tag["Value"] for tag in others.TAGS}
CHANNELS = tuple(
    Channel(name=name, uri=f"s3://data/{name}", content_type="text/csv") for name in ("train", "validation")
)
TRAINING = Training(
    name="training",
    image=TRAIN_IMAGE,
    identity=Identity(role=ROLE, tags=TAGS),
    machines=Machines(types=("ml.m5.large",), volume_gb=5, retries=2, max_run=86400),
    channels=CHANNELS,
    output="s3://data/output",
    hyperparameters={"do": "score", "value": "0.5"},
)
TUNING = Tuning(
    training=changed(
        TRAINING,
        name="tuning",
        hyperparameters={"do": "score"},
        machines=Machines(types=("ml.m5.large",), volume_gb=25, keep_alive=60),
        identity__security__isolation=True,
    ),
    ranges=(Range(name="value", low="10", high="20", whole=True, scale="Linear"),),
    objective="score",
    maximize=False,
    max_jobs=2,
    parallel=2,
    early_stopping=True,
)
GUIDE = changed(
    TUNING,
    ranges=(Range(name="value", low="0", high="1"), Range(name="depth", low="1", high="10", whole=True)),
    seed=123,
)
CAPTURED = Hosting(
    endpoint="captured",
    config="captured",
    model=changed(MODEL, name="model", data=others.DATA),
    types=("ml.m5.large",),
    capture=Capture(uri="s3://data/capture"),
)
TRANSFORM = Transform(
    name="transform",
    model="model",
    source="s3://data/batch",
    output="s3://data/transformed",
    machines=Machines(types=("ml.m5.large",)),
    content_type="text/csv",
)
THEIRS: dict[str, tuple[dict[str, Any], Any]] = {
    "training": (others.training("training"), TRAINING),
    "tuning": (others.tuning("tuning", METRIC_DEFINITIONS), TUNING),
    "guide": (others.tuning("tuning", METRIC_DEFINITIONS, **others.GUIDE), GUIDE),
    "transform": (others.TRANSFORM, TRANSFORM),
}
# Members in which the others' requests differ from ours although both mean the same. Each comment gives the reason.
SAME = {
    # The default (API, Channel): no compression, no records.
    "CompressionType",
    "RecordWrapperType",
    # ACK's tuning job has metric definitions, its training job has none.
    "MetricDefinitions",
    # False is the default.
    "EnableInterContainerTrafficEncryption",
    # We always name File in each channel, and a missing scale means Auto.
    "InputMode",
    "ScalingType",
    # Only our requests have these members.
    "Tags",
    "ProfilerConfig",
    "Accept",
    "KeepAlivePeriodInSeconds",
    # Our list of these types also names JSON Lines, a format of our answers.
    "JsonContentTypes",
}


@pytest.mark.parametrize("theirs, wanted", THEIRS.values(), ids=THEIRS)
def test_our_request_is_what_others_send_to_aws(theirs: dict[str, Any], wanted: Any) -> None:
    (call,) = calls(wanted)
    assert [path for path in unlike(call[1], theirs) if not SAME & set(path.split("."))] == []


def test_an_endpoint_is_configured_as_others_do() -> None:
    theirs = {
        "EndpointConfigName": "captured",
        "ProductionVariants": [others.variant("AllTraffic")],
        "DataCaptureConfig": others.CAPTURE,
    }
    found = [
        path for path in unlike(hosting.endpoint_config(CAPTURED), theirs) if path not in ("Tags", "MetricsConfig")
    ]
    assert found == ["DataCaptureConfig.CaptureContentTypeHeader.JsonContentTypes"]
    container = {"Image": MODEL.image, "ModelDataUrl": others.DATA}
    (path,) = [path for path in unlike(hosting.model(CAPTURED.model)["PrimaryContainer"], container)] or [""]
    assert path == ""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, loopback_alone: None) -> Iterator[Emulator]:
    """An emulator whose jobs compute nothing; one runs at a time, so that others can be stopped before they start."""
    running = emulate(tmp_path_factory.mktemp("oracles") / "data", "--jobs", "1", "--programs", str(PROGRAMS))
    s3 = running.client("s3")
    for bucket in ("photos", "models"):
        s3.create_bucket(Bucket=bucket)
    for split in ("train", "validation", "test"):
        s3.put_object(Bucket="photos", Key=f"data/{split}/a/1.jpg", Body=b"photo")
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w:gz").close()
    for key in ("dogs-1/model.tar.gz", "all/dogs.tar.gz"):
        s3.put_object(Bucket="models", Key=key, Body=archive.getvalue())
    client = running.client("sagemaker")
    client.create_model(
        ModelName="dogs-1",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": MODEL.image, "ModelDataUrl": "s3://models/dogs-1/model.tar.gz"},
    )
    yield running
    assert running.end() == 130, running.output.read_text()


# The emulator refuses these requests by name, because it lacks several instance types, images of other projects and checkpoints of a tuning
# job's training jobs; or the requests name things that do not exist.
LACKING = {"several types", "pools", "digest", "spot tuning", "package", "warm start"}


@pytest.mark.parametrize("name", sorted(GOOD.keys() - LACKING))
def test_the_local_sagemaker_accepts_every_request(emulator: Emulator, name: str) -> None:
    client = emulator.client("sagemaker")
    unique = name.replace(" ", "-")
    for operation, request in calls(GOOD[name]):
        if operation == "CreateEndpoint":  # the request would start the model
            continue
        renamed = {member: unique for member in others.NAMES.values() if member in request and member != "ModelName"}
        renamed |= {"ModelName": unique} if operation == "CreateModel" else {}
        kind = next(
            kind for kind, member in others.NAMES.items() if operation == f"Create{member.removesuffix('Name')}"
        )
        if kind == "endpoint_config":
            request["ProductionVariants"][0]["ModelName"] = unique
        getattr(client, f"create_{kind}")(**request | renamed)
        if kind.endswith("_job") and kind != "training_job":
            stop(client, kind, renamed)
        assert getattr(client, f"describe_{kind}")(**({"ModelName": unique} if kind == "model" else renamed))


def stop(client: Any, kind: str, name: dict[str, str]) -> None:
    """Stop a job, which may already have ended."""
    try:
        getattr(client, f"stop_{kind}")(**name)
    except client.exceptions.ClientError as error:
        assert "is in status" in str(error), error
