"""Both senders with a local SageMaker: requests are accepted and described unchanged, and a refusal is one sentence."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import ConfigError
from launch.aws import notebook
from launch.aws.errors import AwsError, CredentialsError
from launch.aws.requests import calls
from launch.aws.senders import sdk, sender
from launch.aws.senders.boto import BotoSender
from launch.aws.senders.sdk import SdkSender
from launch.aws.senders.sdk_program import Exit
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import Range
from tests.aws.driver import PROGRAMS
from tests.aws.specifications import HOSTING, SERVERLESS, SPOT, TAGS, TRAINING, TRANSFORM, TUNING, changed
from tests.sagemaker.conftest import ROLE, Emulator, emulate
from tests.sagemaker.others import NAMES, kept

BOTH = pytest.mark.parametrize("choice", ["boto3", "sdk"])


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, loopback_alone: None) -> Iterator[Emulator]:
    """An emulator whose jobs compute nothing, with some photos and an artifact."""
    running = emulate(tmp_path_factory.mktemp("senders") / "data", "--hold", "20", "--programs", str(PROGRAMS))
    s3 = running.client("s3")
    for bucket, key in (
        ("photos", "data/train/a/1.jpg"),
        ("photos", "data/validation/a/2.jpg"),
        ("photos", "data/test/a/3.jpg"),
        ("models", "all/1"),
    ):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=key, Body=b"photo")
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w:gz").close()
    s3.put_object(Bucket="models", Key="dogs-1/model.tar.gz", Body=archive.getvalue())
    running.client("sagemaker").create_model(
        ModelName=TRANSFORM.model,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": HOSTING.model.image, "ModelDataUrl": HOSTING.model.data},
    )
    yield running
    assert running.end() == 130, running.output.read_text()


def sent(emulator: Emulator, wanted: Any) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, str]]]:
    """Return each request of a specification, Describe's answer about it and its tags. Stop the jobs that run."""
    client, found = emulator.client("sagemaker"), []
    for operation, request in calls(wanted):
        kind = next(kind for kind, member in NAMES.items() if operation == f"Create{member.removesuffix('Name')}")
        name = {NAMES[kind]: request[NAMES[kind]]}
        answer = getattr(client, f"describe_{kind}")(**name)
        arn = next(value for member, value in answer.items() if member.endswith("Arn") and ":sagemaker:" in value)
        tags = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}
        found.append((json.loads(json.dumps(request)), answer, tags))
        if kind == "endpoint":
            client.delete_endpoint(**name)
        elif kind.endswith("tuning_job") and answer["HyperParameterTuningJobStatus"] == "InProgress":
            client.stop_hyper_parameter_tuning_job(**name)
        elif kind == "transform_job" and answer["TransformJobStatus"] == "InProgress":
            client.stop_transform_job(**name)
    return found


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize(
    "verb, wanted",
    [("train", SPOT), ("tune", changed(TUNING, max_jobs=1, parallel=1)), ("deploy", HOSTING), ("transform", TRANSFORM)],
    ids=["train", "tune", "deploy", "transform"],
)
def test_what_is_sent_is_accepted_and_described_as_it_was(
    session: Session, emulator: Emulator, choice: Any, verb: str, wanted: Any
) -> None:
    renamed = {
        "train": {"name": f"train-{choice}"},
        "tune": {"training__name": f"tune-{choice}"},
        "deploy": {"endpoint": f"dogs-{choice}", "config": f"config-{choice}", "model__name": f"model-{choice}"},
        "transform": {"name": f"transform-{choice}"},
    }[verb]
    wanted = changed(wanted, **renamed)
    sender(session, choice).send(wanted)
    for request, answer, tags in sent(emulator, wanted):
        request.pop("Tags")
        assert kept(request, answer), (request, answer)
        assert tags == TAGS


@pytest.mark.slow
@BOTH
def test_a_model_that_is_there_already_is_not_taken_for_ours(session: Session, emulator: Emulator, choice: Any) -> None:
    name = f"taken-{choice}"
    emulator.client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": HOSTING.model.image, "ModelDataUrl": HOSTING.model.data},
    )
    with pytest.raises(AwsError) as caught:
        sender(session, choice).send(changed(SERVERLESS, model__name=name, endpoint=name, config=name))
    assert str(caught.value).startswith(f"model {name}: ") and "already existing" in str(caught.value)
    assert "\n" not in str(caught.value) and caught.value.exit_status == 1
    found = emulator.client("sagemaker").list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    assert found == []


@BOTH
def test_missing_credentials_are_one_sentence_with_a_status_of_their_own(
    session: Session, monkeypatch: pytest.MonkeyPatch, choice: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsError) as caught:
        sender(Session(session.settings), choice).send(changed(TRAINING, name=f"nobody-{choice}"))
    assert "no AWS credentials were found" in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_status == 3


@BOTH
def test_what_aws_would_refuse_is_not_sent(folder: Path, choice: Any) -> None:
    with pytest.raises(ConfigError, match="TrainingJobName is 'a_b'"):
        sender(Session(Settings(region="us-east-1")), choice).send(changed(TRAINING, name="a_b"))


def test_an_sdk_process_without_an_answer_is_reported_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'Traceback (most recent call last):' >&2\necho 'OSError: no room' >&2\nexit 4\n")
    broken.chmod(0o755)
    with pytest.raises(Exception, match="the SDK's process ended with status 4: OSError: no room; ") as caught:
        SdkSender(Session(Settings(region="us-east-1")), broken).send(TRAINING)
    assert "Traceback" not in str(caught.value)


def test_the_sdks_process_ends_on_sigterm_at_once_or_when_its_request_is_answered() -> None:
    idle = Exit()
    with pytest.raises(KeyboardInterrupt):
        idle.terminated(15, None)
    sending = Exit()
    sending.sends()
    sending.terminated(15, None)  # the request is on its way
    with pytest.raises(KeyboardInterrupt):
        sending.answered()
    undisturbed = Exit()
    undisturbed.sends()
    undisturbed.answered()
    undisturbed.sends()


def test_the_sdk_sends_where_it_is_installed_and_boto3_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = Session(Settings(region="us-east-1"))
    assert isinstance(sender(here), SdkSender) and isinstance(sender(here, "boto3"), BotoSender)
    monkeypatch.setattr(sdk, "PYTHON", tmp_path / "missing")
    assert isinstance(sender(here), BotoSender)
    with pytest.raises(ConfigError, match=r"SDK is not installed: .*missing is missing; make it with make sdk"):
        sender(here, "sdk")


def test_a_notebooks_tuner_searches_the_original_space_but_for_what_is_fixed() -> None:
    found = notebook._original({"batch_size": 64})
    assert found == (
        Range(name="lr", low="0.001", high="0.1", scale="Logarithmic"),
        Range(name="epochs", values=("2", "5")),
    )


NOTEBOOK = """
import json, sys, launch

# As in the sender's process: two thirds of the SDK's time goes into grammars and into checks of its own configuration.
sys.modules["rfc3987_syntax"] = None
import sagemaker.utils
sagemaker.utils.validate_sagemaker_config = lambda config: None
from sagemaker.tuner import ContinuousParameter, CategoricalParameter
from launch.aws.specification import Machines

photos = "s3://photos/data"
machines = Machines(types=("ml.m5.large",), max_run=600)
estimator = launch.estimator(hyperparameters={"epochs": 2}, machines=machines)
estimator.fit(launch.channels(photos), wait=False, logs=False)
tuner = launch.tuner(ranges={"lr": ContinuousParameter(0.001, 0.1), "batch-size": CategoricalParameter([64, 128])},
                     machines=machines, max_jobs=1, parallel=1)
tuner.fit(launch.channels(photos), wait=False)
model = launch.model("s3://models/dogs-1/model.tar.gz", name="notebook")
predictor = model.deploy(1, "ml.m5.large", endpoint_name="notebook", wait=False)
try:
    launch.estimator(hyperparameters={"epochs": "many"})
except Exception as error:
    refusal = str(error)
print("ANSWER " + json.dumps({
    "training": estimator.latest_training_job.name, "tuning": tuner.latest_tuning_job.name, "model": model.name,
    "classes": [type(one).__module__ + "." + type(one).__name__ for one in (estimator, tuner, model, predictor)],
    "refusal": refusal,
    "accepts": predictor.content_type,
}))
"""


@pytest.mark.slow
def test_a_notebook_gets_the_sdks_own_objects_filled_in(account: Path, emulator: Emulator) -> None:
    (account / "byoc.toml").write_text(
        f'region = "us-east-1"\nrole = "{ROLE}"\nbucket = "photos"\n[images]\ntrain = "{TRAINING.image}"\n'
        f'serve = "{HOSTING.model.image}"\n[tags]\nproject = "dogs"\n'
    )
    start = f"import sys; sys.path.append({str(Path(__file__).parents[2])!r})\n"
    done = subprocess.run(
        [sdk.PYTHON, "-P", "-c", start + NOTEBOOK],
        env=os.environ | {"SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.removeprefix("ANSWER ") for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert lines, done.stderr[-3000:]
    answer = json.loads(lines[0])
    assert answer["classes"] == [
        "sagemaker.estimator.Estimator",
        "sagemaker.tuner.HyperparameterTuner",
        "sagemaker.model.Model",
        "sagemaker.base_predictor.Predictor",
    ]
    assert answer["refusal"].startswith("hyperparameter epochs is 'many'")
    assert answer["accepts"] == "application/x-image"
    client = emulator.client("sagemaker")
    training = client.describe_training_job(TrainingJobName=answer["training"])
    assert training["TrainingJobName"].startswith("byoc-train-20") and training["HyperParameters"] == {"epochs": "2"}
    assert training["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://photos/data/"
    assert training["ProfilerConfig"]["DisableProfiler"] and "DebugHookConfig" not in training
    tuning = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=answer["tuning"])
    assert len(tuning["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]) == 9
    config = client.describe_endpoint_config(EndpointConfigName="notebook")
    assert config["MetricsConfig"] == {"EnableDetailedObservability": False}
    described = client.describe_model(ModelName=answer["model"])
    for arn in (described["ModelArn"], config["EndpointConfigArn"], training["TrainingJobArn"]):
        assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "project", "Value": "dogs"}]
    client.delete_endpoint(EndpointName="notebook")
