"""A request that AWS would refuse is refused before it is sent: all problems at once, in words, each with the option it comes from."""

import re
from typing import Any

import pytest

from classifier.errors import ConfigError
from launch.aws import check, model
from launch.aws.overrides import OPERATIONS
from launch.aws.requests import hosting, transform
from launch.aws.specification import Capture, Completion, Range
from launch.aws.words import SOURCES, WANTED, compiled
from tests.aws.specifications import (
    APART,
    ASYNC,
    BATCH,
    CAPTURED,
    GRID,
    HOSTING,
    HYPERBAND,
    LR,
    MODEL,
    MULTI,
    SERVERLESS,
    SPOT,
    TRAINING,
    TRANSFORM,
    TUNING,
    changed,
    requests,
)


def problems(wanted: Any) -> list[str]:
    """Return the lines of the refusal of a specification."""
    with pytest.raises(ConfigError) as caught:
        check.check_all(list(requests(wanted).items()))
    return str(caught.value).split("\n")


def only(*ranges: Range, **more: Any) -> Any:
    return changed(TUNING, ranges=ranges, **more)


CASES: dict[str, tuple[Any, str]] = {
    # Limits and patterns of the API's model.
    "name": (
        changed(TRAINING, name="my_dogs"),
        "TrainingJobName is 'my_dogs'; write at most 63 letters, digits.*--name",
    ),
    "long name": (changed(TRAINING, name="a" * 64), "TrainingJobName is 'a+'; write at most 63 letters"),
    "tuning name": (
        changed(TUNING, training__name="a" * 33),
        "HyperParameterTuningJobName is 'a+'; write at most 32 letters",
    ),
    "type": (
        changed(TRAINING, machines__types=("ml.g4dn.xlarg",)),
        r"ResourceConfig.InstanceType is 'ml.g4dn.xlarg', which AWS does not have; did you mean ml.g4dn.xlarge\? "
        r"\(--instance, or train in .instances. of byoc.toml\)",
    ),
    "type of EC2": (changed(TRAINING, machines__types=("m5.large",)), r"did you mean ml.m5.large\?"),
    "unlike any type": (changed(TRAINING, machines__types=("?",)), "a newer version may know this one"),
    "endpoint type": (changed(HOSTING, types=("ml.m5.huge",)), "--instance, or serve in .instances. of byoc.toml"),
    "transform type": (
        changed(TRANSFORM, machines__types=("x",)),
        "--instance, or transform in .instances. of byoc.toml",
    ),
    "role": (
        changed(TRAINING, identity__role="SageMakerExecutionRole"),
        "RoleArn is .* the whole ARN.*role in byoc.toml",
    ),
    "bucket": (changed(TRAINING, output="photos/output"), "S3OutputPath is 'photos/output'; write an address in S3"),
    "no instance": (changed(TRAINING, machines__count=0), "InstanceCount is 0; at least 1 is needed .--count"),
    "no volume": (
        changed(TUNING, training__machines__volume_gb=0),
        "VolumeSizeInGB is 0; at least 1 is needed .--volume",
    ),
    "warm pool": (changed(TRAINING, machines__keep_alive=99999), "KeepAlivePeriodInSeconds is 99999; at most 21600 is"),
    "retries": (
        changed(TRAINING, machines__retries=31),
        "MaximumRetryAttempts is 31; at most 30 is allowed .--retries",
    ),
    "no subnet": (
        changed(TRAINING, identity__security__groups=("sg-1",)),
        r"VpcConfig.Subnets has 0 entries; at least 1 is allowed \(subnets in .network. of byoc.toml\)",
    ),
    "tag": (changed(TRAINING, identity__tags={"a": "b#"}), r"Tags\[0\].Value is 'b#'; a tag has letters.*byoc.toml"),
    "variable": (changed(TRAINING, environment={"1A": "b"}), "Environment.1A is '1A'; a variable's name"),
    "tuning variables": (
        changed(TUNING, training__environment={f"A{number}": "b" for number in range(49)}),
        "Environment has 49 entries; at most 48 are allowed",
    ),
    "parallel": (changed(TUNING, parallel=0), "MaxParallelTrainingJobs is 0; at least 1 is allowed"),
    "short search": (changed(TUNING, max_run=60), "MaxRuntimeInSeconds is 60; at least 120 is allowed"),
    "no completion": (
        changed(TUNING, completion=Completion(without_improvement=0)),
        "NotImproving is 0; at least 3 is",
    ),
    "completion": (
        changed(TUNING, completion=Completion(without_improvement=2)),
        "NotImproving is 2; at least 3 is .*--without-",
    ),
    "parents": (
        changed(TUNING, parents=tuple("abcdef")),
        "ParentHyperParameterTuningJobs has 6 entries; at most 5 are",
    ),
    "start": (changed(HOSTING, start_seconds=30), "HealthCheckTimeoutInSeconds is 30; at least 60 is allowed"),
    "ami": (changed(HOSTING, inference_ami="al2023-ami-sagemaker-inference-gpu-4"), "did you mean al2023.*-4-1"),
    "capture": (changed(HOSTING, capture=Capture(uri="s3://a/b", percent=101)), "Percentage is 101; at most 100 is"),
    "memory": (changed(SERVERLESS, serverless__memory_mb=7168), "MemorySizeInMB is 7168; at most 6144 is allowed"),
    "value of 2,501 characters": (
        changed(TRAINING, hyperparameters={"sagemaker_program": "train.py", "a": "b" * 2501}),
        r"HyperParameters.a has 2501 characters; at most 2500 are allowed \(--set\)",
    ),
    # Rules that concern several members.
    "spot": (changed(SPOT, machines__max_wait=599), "a spot job may take 599 s .* less than the 600 s"),
    "month": (changed(TRAINING, machines__max_run=2_419_201), "at most 2419200, 28 days, is allowed"),
    "types and spot": (changed(SPOT, machines__types=("ml.m5.large", "ml.c5.xlarge")), "cannot be spot instances"),
    "type twice": (changed(TRAINING, machines__types=("ml.m5.large",) * 2), "contain a type twice"),
    "no type": (changed(TRAINING, machines__types=()), "no instance type is named; write --instance"),
    "warm spot": (changed(SPOT, machines__keep_alive=60), "a warm pool .* cannot have spot instances"),
    "key of a GPU": (
        changed(TRAINING, machines__types=("ml.g4dn.xlarge",), identity__security__volume_key="alias/a"),
        "ml.g4dn.xlarge encrypts its local storage itself and accepts no key; leave out volume in .keys. of byoc.toml",
    ),
    "digest": (changed(TRAINING, image="repo@sha256:0a"), "64 hexadecimal digits"),
    "fast file": (
        changed(TRAINING, channels=(changed(TRAINING.channels[0], mode="FastFile", uri="s3://photos/data/train"),)),
        "the channel train is s3://photos/data/train; with FastFile the prefix must end with /",
    ),
    "channel twice": (changed(TRAINING, channels=TRAINING.channels[:1] * 2), "the channel train is named twice"),
    "hyperparameter": (changed(TRAINING, hyperparameters={"epoch": "2"}), "epoch"),
    "value": (changed(TRAINING, hyperparameters={"epochs": "many"}), "hyperparameter epochs is 'many'"),
    # Rules on tuning jobs.
    "objective": (
        changed(TUNING, objective="accuracy"),
        "the objective accuracy is not among the metrics epoch, train:loss",
    ),
    "nothing": (only(), "no hyperparameter is to be tuned; write --range"),
    "static": (
        changed(TUNING, training__hyperparameters={"lr": "0.01"}),
        r"lr is to be tuned \(--range or --choice\), and lr is set to 0.01 \(--set\); leave one of them out",
    ),
    "static by another name": (
        changed(TUNING, training__hyperparameters={"batch_size": "32"}),
        "batch-size is to be tuned .* and batch_size is set to 32",
    ),
    "two ranges of one": (only(BATCH, changed(BATCH, name="batch_size")), "batch-size and batch_size are two ranges"),
    "falling": (only(changed(LR, low="0.1", high="0.001")), "the range of lr, 0.1 to 0.001, must rise"),
    "no number": (only(changed(LR, low="small")), "the range of lr, small to 0.1, must be between two numbers"),
    "not whole": (only(Range(name="epochs", low="1.5", high="4", whole=True)), "must be between two whole numbers"),
    "points between whole numbers": (
        only(Range(name="epochs", low="1", high="5")),
        "epochs is .* must be a whole number",
    ),
    "logarithm of 0": (only(Range(name="dropout", low="0", high="0.5", scale="Logarithmic")), "must be above 0"),
    "reverse": (only(changed(LR, low="0.5", high="1", scale="ReverseLogarithmic")), "must be in 0 <= x < 1"),
    "end": (only(changed(LR, high="11")), "hyperparameter lr is 11.0; it must lie between"),
    "choice": (only(Range(name="optimizer", values=("adam", "adamm"))), "optimizer is 'adamm'; it must be one of"),
    "choice twice": (only(changed(BATCH, values=("64", "64"))), "the choices of batch-size contain a value twice"),
    "31 ranges": (
        only(
            *(changed(LR, name=f"lr{number}") for number in range(31)),
            training__hyperparameters={"sagemaker_program": "train.py"},
        ),
        "has 31 entries; at most 30 are",
    ),
    "grid of numbers": (changed(GRID, ranges=(LR,)), "a grid search takes only choices; write --choice lr=A,B"),
    "grid of another size": (changed(GRID, max_jobs=8), "needs 4 training jobs, and --trials is 8"),
    "no epochs": (
        changed(HYPERBAND, resource=None),
        "Hyperband needs the largest number of epochs; write --set epochs=MOST",
    ),
    "many epochs": (changed(HYPERBAND, resource=(1, 20001)), "at most 20000 epochs"),
    "few epochs": (
        changed(HYPERBAND, resource=(9, 3)),
        "Hyperband's smallest number of epochs, 9, is more than the largest, 3",
    ),
    "early stopping": (changed(HYPERBAND, early_stopping=True), "leave out --early-stopping"),
    "resource": (changed(TUNING, resource=(1, 9)), "are only for Hyperband, and the strategy is Bayesian"),
    # Rules on endpoints and transform jobs.
    "no image": (changed(HOSTING, model__image=""), "the model has no image"),
    "no artifact": (changed(HOSTING, model__data=""), "the model has no artifact"),
    "artifact": (changed(HOSTING, model__data="s3://models/a.zip"), "must be an archive whose name ends with .tar.gz"),
    "prefix": (changed(MULTI, model__data="s3://models/all"), "ends with /; s3://models/all does not"),
    "variables": (
        changed(HOSTING, model__environment={f"A{number}": "b" * 1000 for number in range(40)}),
        r"the model's variables \(--env\) are 40\d\d\d bytes in all; at most 32768",
    ),
    "no machines": (
        changed(HOSTING, types=()),
        "no instance type is named; write --instance TYPE, or serve in .instances.",
    ),
    "pool twice": (changed(HOSTING, types=("ml.m5.large",) * 2), "contain a type twice"),
    "step": (changed(SERVERLESS, serverless__memory_mb=3000), "3000 MB .* in steps of 1024"),
    "provisioned": (changed(SERVERLESS, serverless__provisioned=9), "9 answers at a time are provisioned"),
    "serverless capture": (changed(SERVERLESS, capture=CAPTURED.capture), "cannot have data capture"),
    "serverless async": (changed(SERVERLESS, asynchronous=ASYNC.asynchronous), "cannot have asynchronous answers"),
    "serverless network": (
        changed(SERVERLESS, model__identity__security=changed(APART, isolation=False)),
        "cannot have a VPC",
    ),
    "serverless models": (changed(MULTI, types=(), serverless=SERVERLESS.serverless), "cannot have several models"),
    "payload": (changed(TRANSFORM, max_payload_mb=101), "a payload may have 101 MB"),
    "payloads": (changed(TRANSFORM, max_payload_mb=26, concurrency=4), "are 104 MB; at most 100"),
    "instances": (changed(TRANSFORM, machines__count=101), "--count is 101"),
    "records": (changed(TRANSFORM, strategy="MultiRecord"), "Line, RecordIO or TFRecord"),
}


@pytest.mark.parametrize("wanted, text", CASES.values(), ids=CASES)
def test_what_aws_would_refuse_is_refused_in_one_sentence(wanted: Any, text: str) -> None:
    (line,) = problems(wanted)
    assert re.search(text, line), line


def test_all_problems_come_at_once_and_each_once() -> None:
    several = changed(
        TUNING,
        training__name="a_b",
        training__identity__role="me",
        objective="accuracy",
        ranges=(changed(LR, high="11"),),
    )
    assert len(problems(several)) == 4


def test_an_endpoint_has_at_most_five_instance_types() -> None:
    text = "InstancePools has 6 entries; at most 5 are allowed (--instance, or serve in [instances] of byoc.toml)"
    assert any(text in line for line in problems(changed(HOSTING, types=check.types("endpoint")[:6])))


def test_what_is_missing_unknown_or_of_another_type_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        check.check("CreateEndpoint", {"EndpointName": 3, "EndpointConfig": "a"})
    assert set(str(caught.value).split("\n")) == {
        "EndpointName is 3; it must be a text (--endpoint)",
        "EndpointConfig is unknown; did you mean EndpointConfigName?",
        "EndpointConfigName is missing",
    }
    with pytest.raises(ConfigError, match="InitialInstanceCount is True; it must be a whole number"):
        config = hosting.endpoint_config(HOSTING)
        config["ProductionVariants"][0]["InitialInstanceCount"] = True
        check.check("CreateEndpointConfig", config)


def test_a_script_of_the_users_has_hyperparameters_of_its_own() -> None:
    script = {"sagemaker_program": "train.py", "whatever": "1"}
    check.check_all(list(requests(changed(TRAINING, hyperparameters=script)).items()))
    check.check_all(
        list(requests(changed(TRAINING, hyperparameters={"a": "1"}, environment={"SAGEMAKER_PROGRAM": "t.py"})).items())
    )
    ranges = (Range(name="whatever", low="1", high="2"),)
    check.check_all(list(requests(changed(TUNING, training__hyperparameters=script | {"whatever": "1"})).items()))
    check.check_all(list(requests(only(*ranges, training__hyperparameters={"sagemaker_program": "train.py"})).items()))


def test_a_transform_job_takes_one_instance_type() -> None:
    with pytest.raises(ConfigError, match="one instance type, and 2 are named"):
        transform.transform_job(changed(TRANSFORM, machines__types=("ml.m5.large", "ml.m5.xlarge")))


def test_a_model_by_digest_and_by_tag_have_legal_images() -> None:
    for image in ("byoc", "byoc:cpu", "localhost:5000/byoc:1", f"a.b/c/byoc:1@sha256:{'0' * 64}"):
        check.check("CreateModel", hosting.model(changed(MODEL, image=image)))
    for image in ("byoc@sha512:00", "byoc@sha256:" + "0" * 63, "by oc"):
        with pytest.raises(ConfigError):
            check.check("CreateModel", hosting.model(changed(MODEL, image=image)))


def test_every_pattern_of_the_requests_compiles_and_those_explained_exist() -> None:
    patterns, members = set(), set()

    def walk(shape: Any, seen: frozenset[str]) -> None:
        if shape.name in seen:
            return
        if pattern := shape.metadata.get("pattern"):
            compiled(pattern)
            patterns.add(pattern)
        parts = {"structure": "members", "list": "member", "map": "value"}.get(shape.type_name)
        if parts == "members":
            members.update(shape.members)
            for member in shape.members.values():
                walk(member, seen | {shape.name})
        elif parts:
            walk(getattr(shape, parts), seen | {shape.name})
            if shape.type_name == "map":
                walk(shape.key, seen)

    for operation in (*OPERATIONS, "CreateModelPackageGroup"):
        walk(model.request_shape(operation), frozenset())
    assert WANTED.keys() <= patterns
    assert {step for path in SOURCES for step in path.split(".")} <= members
