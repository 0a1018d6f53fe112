"""SageMaker's SDK sends our requests: its real requests, captured in botocore, equal ours except for a named list."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launch.aws.requests import calls
from launch.aws.senders import sdk
from launch.aws.senders.differences import DIFFERENCES, unlike
from launch.aws.senders.wire import plain, typed
from launch.aws.specification import Range
from tests.aws.specifications import (
    APART,
    ASYNC,
    BATCH,
    CAPTURED,
    COMPLETED,
    GOOD,
    HOSTING,
    LR,
    MULTI,
    SERVERLESS,
    SPOT,
    TRAINING,
    TRANSFORM,
    TUNING,
    WARM,
    changed,
)

PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/dogs/1"
OVERRIDES = {
    "CreateTrainingJob": {
        "InfraCheckConfig.EnableInfraCheck": True,
        "ProfilerConfig": None,
        "StoppingCondition.MaxPendingTimeInSeconds": 7200,
    }
}
MORE = {
    "overridden": changed(TRAINING, overrides=OVERRIDES),
    "overridden endpoint": changed(
        HOSTING,
        overrides={
            "CreateEndpointConfig": {
                "ProductionVariants.0.RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
            }
        },
        model__overrides={"CreateModel": {"PrimaryContainer.ContainerHostname": "dogs"}},
    ),
    "sharded and typed": changed(
        TRAINING,
        channels=tuple(
            changed(one, distribution="ShardedByS3Key", content_type="application/x-image") for one in TRAINING.channels
        ),
    ),
    "no hyperparameters": changed(TRAINING, hyperparameters={}),
    "random": changed(TUNING, strategy="Random", maximize=False, objective="validation:loss", seed=None),
    "several parents": changed(WARM, parents=("dogs-9", "dogs-1", "dogs-5"), parents_kind="TransferLearning"),
    "reverse": changed(
        TUNING, ranges=(Range(name="momentum", low="0.5", high="0.99", scale="ReverseLogarithmic"), BATCH)
    ),
    "small numbers": changed(TUNING, ranges=(changed(LR, low="1e-5", high="1e-2"),)),
    "target alone": changed(
        COMPLETED, completion=changed(COMPLETED.completion, without_improvement=None, convergence=False)
    ),
    "tuning with variables and spot": changed(
        TUNING, training=changed(SPOT, hyperparameters={"backbone": "resnet18"}, identity__security=APART)
    ),
    "overridden tuning": changed(
        TUNING,
        training__overrides={
            "CreateHyperParameterTuningJob": {"TrainingJobDefinition.OutputDataConfig.CompressionType": "NONE"}
        },
    ),
    "async without failures": changed(ASYNC, asynchronous__failures=""),
    "async multi-model": changed(MULTI, asynchronous=ASYNC.asynchronous),
    "slow multi-model": changed(
        MULTI, start_seconds=600, download_seconds=900, inference_ami="al2-ami-sagemaker-inference-gpu-3-1"
    ),
    "slow serverless": changed(SERVERLESS, start_seconds=120, serverless__provisioned=1),
    "multi-model apart": changed(MULTI, model__identity__security=APART, model__environment={"A": "b"}),
    "captured with variables": changed(CAPTURED, model__environment={"A": "b"}, detailed_metrics=True),
    "transform with keys": changed(TRANSFORM, volume_key="alias/volumes", output_key="alias/outputs", tags={}),
    "no tags": changed(TRAINING, identity__tags={}),
}
SPECIFICATIONS = GOOD | MORE
WAITING = "a version that nobody approved"


def captured(wanted: list[tuple[Any, str]]) -> list[dict[str, Any]]:
    """Return the requests that the SDK would send for specifications, from a process in its environment. With each
    specification goes the approval status of its model package.
    """
    jobs = [{"wanted": type(one).__name__, "specification": plain(one), "approval": said} for one, said in wanted]
    done = subprocess.run(
        [sdk.PYTHON, "-P", Path(__file__).with_name("captured.py")],
        input=json.dumps(jobs),
        env=os.environ
        | {"SAGEMAKER_SUPPRESS_V2_WARNING": "1", "PYTHONHASHSEED": "0"},  # so that sets have the same order in each run
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search("^ANSWERS (.*)$", done.stdout, re.M)
    assert found, done.stderr[-3000:]
    answers: list[dict[str, Any]] = json.loads(found[1])
    return answers


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    """The SDK's requests for every specification, and for a version in the registry that nobody has approved."""
    waiting = changed(HOSTING, model__package=PACKAGE), "PendingManualApproval"
    found = captured([*((one, "Approved") for one in SPECIFICATIONS.values()), waiting])
    return dict(zip([*SPECIFICATIONS, WAITING], found, strict=True))


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_what_is_sent_is_what_the_plan_shows(name: str, answers: dict[str, dict[str, Any]]) -> None:
    answer = answers[name]
    assert "error" not in answer, answer["error"]
    ours = json.loads(json.dumps(dict(calls(SPECIFICATIONS[name]))))
    answer["sent"].pop("DescribeModelPackage", None)
    assert list(answer["sent"].items()) == list(ours.items())


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_the_sdks_own_request_is_ours_but_for_the_named_differences(
    name: str, answers: dict[str, dict[str, Any]]
) -> None:
    wanted = SPECIFICATIONS[name]
    for operation, ours in calls(wanted):
        named = [*DIFFERENCES[operation], *overridden(wanted).get(operation, {})]
        found = list(unlike(answers[name]["asked"][operation], ours))
        assert [path for path in found if not any(_within(path, member) for member in named)] == []


def test_every_named_difference_is_one(answers: dict[str, dict[str, Any]]) -> None:
    needed = {
        (operation, member)
        for name, wanted in SPECIFICATIONS.items()
        for operation, ours in calls(wanted)
        for path in unlike(answers[name]["asked"][operation], ours)
        for member in DIFFERENCES[operation]
        if _within(path, member)
    }
    assert needed == {(operation, member) for operation, members in DIFFERENCES.items() for member in members}


def overridden(wanted: Any) -> dict[str, Any]:
    """Return the overrides of a specification, including those of its parts."""
    parts = [wanted, getattr(wanted, "model", None), getattr(wanted, "training", None)]
    return {name: value for part in parts for name, value in (getattr(part, "overrides", None) or {}).items()}


def _within(path: str, member: str) -> bool:
    return path == member or path.startswith(f"{member}.") or member.startswith(f"{path}.")


def test_a_version_that_nobody_approved_is_not_approved_in_passing(answers: dict[str, dict[str, Any]]) -> None:
    answer = answers[WAITING]
    assert "UpdateModelPackage, which is not planned" in answer["error"]
    assert answer["sent"].keys() == {"DescribeModelPackage"}


@pytest.mark.parametrize("wanted", SPECIFICATIONS.values(), ids=SPECIFICATIONS)
def test_a_specification_comes_through_json_as_it_was(wanted: Any) -> None:
    assert typed(type(wanted), json.loads(json.dumps(plain(wanted)))) == wanted
