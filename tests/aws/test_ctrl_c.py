"""Ctrl-C while byoc makes something on SageMaker: byoc prints what exists, and how to follow it and end it."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.driver import BUCKET, SERVED, TRAIN, TUNE, Driver, beside, read_until, wait_for
from tests.sagemaker.hosting import archive

IMAGE = "byoc-classifier-serve:cpu"
MODEL = f"s3://{BUCKET}/made/model.tar.gz"
DEPLOY = ["deploy", MODEL, "--serve-image", IMAGE, "--yes", "--endpoint"]
TRANSFORM = ["transform", f"s3://{BUCKET}/photos/train/", "--model", MODEL, "--serve-image", IMAGE, "--yes"]
# Names of the requests that byoc is sending when Ctrl-C comes.
MODEL_IS_MADE = pytest.param("CreateModel", marks=pytest.mark.slow)
HOSTED = (MODEL_IS_MADE, "CreateEndpointConfig", "CreateEndpoint")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with beside(tmp_path_factory.mktemp("ctrl-c"), programs=SERVED) as found:
        content = archive({"name": b"cat", "model.json": b"{}"})
        found.emulator.client("s3").put_object(Bucket=BUCKET, Key="made/model.tar.gz", Body=content)
        yield found


def there(driver: Driver, name: str) -> set[str]:
    """Return the kinds of all things whose names contain `name`."""
    client, found = driver.emulator.client("sagemaker"), set()
    for kind, members in {
        "training_jobs": "TrainingJobSummaries",
        "hyper_parameter_tuning_jobs": "HyperParameterTuningJobSummaries",
        "transform_jobs": "TransformJobSummaries",
        "models": "Models",
        "endpoint_configs": "EndpointConfigs",
        "endpoints": "Endpoints",
    }.items():
        if getattr(client, f"list_{kind}")(NameContains=name)[members]:
            found.add(kind)
    return found


def stopped(driver: Driver, operation: str, *arguments: str, freed: bool = True, times: int = 1) -> str:
    """Return the output of byoc after Ctrl-C while the answer to a request is on its way.

    If `freed`, the answer comes after Ctrl-C; otherwise it never comes. As at a terminal, every process of byoc's group gets the signal.
    """
    with driver.through(holds=operation) as way, driver.running(*arguments) as process:
        wait_for(lambda: operation in way.seen)
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.5)  # otherwise two signals may become one
        if freed:
            way.free.set()
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(300) == 130, said
    return said


# The moment at which Ctrl-C reaches a run: the text that it has printed, and the seconds since then.
MOMENTS = [
    ("a training job on SageMaker", 0.0),
    ("a training job on SageMaker", 0.05),
    ("a training job on SageMaker", 0.3),
]


@pytest.mark.parametrize("moment", range(len(MOMENTS)))
def test_ctrl_c_around_the_request_reports_whether_the_job_exists(driver: Driver, moment: int) -> None:
    text, seconds = MOMENTS[moment]
    name = f"around-{moment}"
    with driver.running(*TRAIN, "--name", name, "--env", "DO=wait") as process:
        read_until(process, text)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(300) == 130
    runs = there(driver, name) == {"training_jobs"}
    assert (f"stop it: byoc stop {name}" in said) == runs, said
    assert ("byoc: stopped" in said) != runs, said
    if runs:
        driver.run("stop", name)


@pytest.mark.slow
def test_ctrl_c_while_the_request_waits_for_its_answer_reports_the_job_that_it_started(driver: Driver) -> None:
    arguments = [*TRAIN, "--name", "half-sent", "--env", "DO=wait"]
    assert "stop it: byoc stop half-sent" in stopped(driver, "CreateTrainingJob", *arguments, freed=False)
    driver.run("stop", "half-sent")


@pytest.mark.parametrize("operation", HOSTED)
def test_ctrl_c_while_an_endpoint_is_made_reports_it_or_leaves_nothing(driver: Driver, operation: str) -> None:
    name = f"made-{operation.removeprefix('Create').lower()}"
    told(driver, operation, name, stopped(driver, operation, *DEPLOY, name, "--sender", "boto3", freed=False))


@pytest.mark.parametrize("operation", [MODEL_IS_MADE, "CreateEndpointConfig", "UpdateEndpoint"])
def test_ctrl_c_while_an_endpoint_is_updated_reports_the_update_or_leaves_it_as_it_was(
    driver: Driver, operation: str
) -> None:
    name = f"updated-{operation.lower()}"
    before = driver.json(*DEPLOY, name, "--sender", "boto3")["config"]
    said = stopped(driver, operation, *DEPLOY, name, "--sender", "boto3", freed=False)
    begun = operation == "UpdateEndpoint"
    assert (f"delete it: byoc delete {name}" in said) == begun and ("byoc: stopped" in said) != begun, said
    configs = driver.emulator.client("sagemaker").list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    assert len(configs) == (2 if begun else 1) and before in [entry["EndpointConfigName"] for entry in configs]
    driver.run("delete", name, "--yes")
    assert there(driver, name) == set()


@pytest.mark.slow
def test_after_ctrl_c_during_the_first_prediction_byoc_says_that_the_endpoint_costs_money(driver: Driver) -> None:
    with driver.running(*DEPLOY, "slow", "--sender", "boto3", "--env", "SLEEP=50") as process:
        read_until(process, "InService")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        read_until(process, "endpoint slow keeps running in us-east-1 and costs money until it is deleted")
        read_until(process, "delete it: byoc delete slow")
        assert process.wait(300) == 130
    driver.run("delete", "slow", "--yes")


@pytest.mark.parametrize("operation", [MODEL_IS_MADE, "CreateTransformJob"])
def test_ctrl_c_while_a_transform_job_is_made_reports_it_and_its_model(
    driver: Driver, operation: str, tmp_path: Path
) -> None:
    said = stopped(driver, operation, *TRANSFORM, "--out", str(tmp_path / "answers"), "--sender", "boto3", freed=False)
    told_of_transform(driver, operation, said)


@pytest.mark.long
def test_ctrl_c_before_the_sdk_has_sent_anything_starts_nothing(driver: Driver) -> None:
    with driver.running(*TRAIN, "--sender", "sdk", "--name", "unsent") as process:
        read_until(process, "a training job on SageMaker")
        time.sleep(0.5)  # the SDK's imports take seconds
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None and "byoc: stopped" in process.stdout.read()
        assert process.wait(300) == 130
    assert there(driver, "unsent") == set()


@pytest.mark.parametrize(
    "verb, operation",
    [
        pytest.param(TRAIN, "CreateTrainingJob", marks=pytest.mark.slow),
        pytest.param(TUNE, "CreateHyperParameterTuningJob", marks=pytest.mark.long),
    ],
)
def test_ctrl_c_while_the_sdk_sends_a_job_waits_for_its_answer_and_reports_it(
    driver: Driver, verb: list[str], operation: str
) -> None:
    name = f"sdk-{verb[0]}"
    said = stopped(driver, operation, *verb, "--sender", "sdk", "--name", name, "--env", "DO=wait")
    assert f"follow it again: byoc logs {name} --follow\nstop it: byoc stop {name}\n" in said
    driver.run("stop", name)


@pytest.mark.long
def test_a_second_ctrl_c_does_not_wait_for_the_sdk_and_reports_the_job(driver: Driver) -> None:
    arguments = [*TRAIN, "--sender", "sdk", "--name", "twice", "--env", "DO=wait"]
    assert "byoc stop twice" in stopped(driver, "CreateTrainingJob", *arguments, freed=False, times=2)
    driver.run("stop", "twice")


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param("CreateModel", marks=pytest.mark.long),
        pytest.param("CreateEndpointConfig", marks=pytest.mark.slow),
        pytest.param("CreateEndpoint", marks=pytest.mark.long),
    ],
)
def test_ctrl_c_while_the_sdk_makes_an_endpoint_reports_it_or_leaves_nothing(driver: Driver, operation: str) -> None:
    name = f"sdk-{operation.removeprefix('Create').lower()}"
    told(driver, operation, name, stopped(driver, operation, *DEPLOY, name, "--sender", "sdk"))


@pytest.mark.long
def test_ctrl_c_while_the_sdk_sends_a_transform_job_reports_it_and_its_model(driver: Driver, tmp_path: Path) -> None:
    arguments = [*TRANSFORM, "--out", str(tmp_path / "answers"), "--sender", "sdk"]
    told_of_transform(driver, "CreateTransformJob", stopped(driver, "CreateTransformJob", *arguments))


def told(driver: Driver, operation: str, name: str, said: str) -> None:
    """Fail unless byoc reports an endpoint that was made, and leaves nothing behind if it was not made."""
    if operation == "CreateEndpoint":
        assert f"follow it again: byoc logs {name} --follow\ndelete it: byoc delete {name}\n" in said
        driver.run("delete", name, "--yes")
    else:
        assert "byoc: stopped" in said
    assert there(driver, name) == set()


def told_of_transform(driver: Driver, operation: str, said: str) -> None:
    """Fail unless byoc names the transform job that it made, so that it can be deleted with its model, or else leaves nothing behind."""
    if operation == "CreateTransformJob":
        name = said.partition("stop it: byoc stop ")[2].partition("\n")[0]
        assert name.startswith("transform-") and f"byoc delete {name}" in said
        driver.run("stop", name)
        driver.run("delete", name, "--yes")
    else:
        assert "byoc: stopped" in said
    assert "models" not in there(driver, "transform-")
