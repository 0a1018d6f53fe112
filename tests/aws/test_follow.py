"""Following a job: what byoc shows, how it handles failures, and what it prints for a user who stops following."""

import io
import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from launch.aws.jobs.events import Line
from launch.aws.jobs.screen import Screen
from tests.aws.driver import BUCKET, Driver, beside, read_until
from tests.sagemaker.conftest import ROLE, TRAIN_IMAGE

PHASES = ("Starting", "Downloading", "Training", "Uploading", "Completed")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with beside(tmp_path_factory.mktemp("follow")) as found:
        yield found


def create(driver: Driver, name: str, do: str = "", **changes: Any) -> str:
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "HyperParameters": {"lr": "0.125", "epochs": "2"},
        "AlgorithmSpecification": {"TrainingImage": TRAIN_IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "Environment": {"DO": do},
        **changes,
    }
    driver.emulator.client("sagemaker").create_training_job(**request)
    return name


def test_a_job_is_shown_by_its_phases_its_log_and_an_epoch_as_one_line(driver: Driver) -> None:
    output = driver.run("logs", create(driver, "whole"), "--follow").stdout
    words = [line.split()[1].rstrip(":") for line in output.splitlines()]
    assert tuple(word for word in words if word in PHASES) == PHASES
    assert "epoch 2 of 2: validation:accuracy 0.875, validation:loss 0.4" in output
    assert "test: accuracy 0.8750" in output and "epoch=" not in output


def test_a_failed_job_ends_with_its_reason_and_the_last_lines_that_say_something(driver: Driver) -> None:
    done = driver.run("logs", create(driver, "crashed", "crash"), "--follow", status=1)
    assert done.stderr.startswith("byoc: training job crashed failed: AlgorithmError: ")
    assert done.stderr.splitlines()[-2:] == ["  reading the photos", "  Segmentation fault"]


def test_a_failure_text_is_the_reason(driver: Driver) -> None:
    done = driver.run("logs", create(driver, "dark", "fail"), "--follow", status=1)
    assert "failed: AlgorithmError: the photos are too dark, exit code: 1" in done.stderr


def test_a_stopped_job_says_where_its_model_is(driver: Driver) -> None:
    with driver.running("logs", create(driver, "halted", "wait"), "--follow") as process:
        read_until(process, "waiting")
        assert "halted stops" in driver.run("stop", "halted", "--detach").stdout
        read_until(process, "training job halted was stopped")
        assert f"s3://{BUCKET}/output/halted/output/model.tar.gz" in read_until(process, "model so far")
        assert process.wait(300) == 1


def test_a_job_over_its_time_is_reported_with_the_option_that_limits_it(driver: Driver) -> None:
    name = create(driver, "slow", "wait", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert "--max-run" in driver.run("logs", name, "--follow", status=1).stderr


@pytest.mark.parametrize(
    "number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["ctrl-c", "term", "hup"]
)
def test_a_user_who_stops_following_learns_that_the_job_goes_on(
    driver: Driver, number: signal.Signals, status: int
) -> None:
    name = create(driver, f"left-{status}", "wait")
    with driver.running("logs", name, "--follow") as process:
        read_until(process, "waiting")
        process.send_signal(number)
        said = read_until(process, "stop it")
        assert process.wait(300) == status
    assert f"training job {name} keeps running in us-east-1 and costs money until it ends" in said
    assert f"follow it again: byoc logs {name} --follow\nstop it: byoc stop {name}\n" in said
    assert driver.describe(name)["TrainingJobStatus"] == "InProgress"
    driver.run("stop", name)
    assert driver.describe(name)["TrainingJobStatus"] == "Stopped"


def test_throttling_does_not_end_it(driver: Driver) -> None:
    driver.fault("throttle", "DescribeTrainingJob", times=3)
    assert "Completed" in driver.run("logs", create(driver, "throttled"), "--follow").stdout


def test_an_internal_error_of_describe_does_not_end_it(driver: Driver) -> None:
    driver.fault("server-error", "DescribeTrainingJob", times=2)
    assert "Completed" in driver.run("logs", create(driver, "broken-answers"), "--follow").stdout


def test_expired_credentials_end_it_with_their_own_status_and_the_job_goes_on(driver: Driver) -> None:
    name = create(driver, "expires", "wait")
    with driver.running("logs", name, "--follow") as process:
        read_until(process, "waiting")
        driver.fault("expired-token", "DescribeTrainingJob")
        said = read_until(process, "stop it")
        assert process.wait(300) == 3
    assert "expired" in said and "keeps running in us-east-1 and costs money" in said
    driver.run("stop", name)


def test_an_interrupted_spot_job_is_reported_and_goes_on_from_its_checkpoint(driver: Driver) -> None:
    spot: dict[str, Any] = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200},
        "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/checkpoints/taken", "LocalPath": "/opt/ml/checkpoints"},
    }
    with driver.running("logs", create(driver, "taken", "wait", **spot), "--follow") as process:
        read_until(process, "waiting")
        driver.fault("interrupt", "taken")
        assert "Interrupted" in read_until(process, "goes on from its checkpoint")
        read_until(process, "Completed")
        assert process.wait(300) == 0


@pytest.mark.parametrize(
    "fault, texts",
    [
        ("no-capacity", ("CapacityError", "--instance a,b,c")),
        ("image-missing", ("Cannot find the image", TRAIN_IMAGE)),
        ("internal-error", ("InternalServerError", "--retries")),
    ],
)
def test_what_fails_on_awss_side_is_reported_with_a_remedy(driver: Driver, fault: str, texts: tuple[str, str]) -> None:
    driver.fault(fault, f"bad-{fault}")
    done = driver.run("logs", create(driver, f"bad-{fault}", "wait"), "--follow", status=1)
    assert all(text in done.stderr for text in texts)


def test_hosts_are_distinguished(driver: Driver) -> None:
    two = {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
    output = driver.run("logs", create(driver, "two", ResourceConfig=two), "--follow").stdout
    assert "algo-1: channels" in output and "algo-2: channels" in output


def test_the_log_can_be_cut_searched_and_read_by_a_program(driver: Driver) -> None:
    name = create(driver, "read")
    driver.run("logs", name, "--follow")
    assert len(driver.run("logs", name, "--tail", "1").stdout.splitlines()) == 1
    found = driver.run("logs", name, "--search", "accuracy 0.8750").stdout.splitlines()
    assert len(found) == 1 and found[0].endswith("on 16 photos")
    assert driver.run("logs", name, "--since", "2999-01-01").stdout == ""
    assert '"text": "channels: "' in driver.run("logs", name, "--json").stdout
    assert "--since is 'soon'" in driver.run("logs", name, "--since", "soon", status=1).stderr


def test_some_lines_of_a_job_that_failed_are_followed_to_its_reason(driver: Driver) -> None:
    done = driver.run("logs", create(driver, "some", "fail"), "--follow", "--tail", "1", status=1)
    assert done.stderr.startswith("byoc: training job some failed: ")


def test_a_name_that_nothing_has_is_reported(driver: Driver) -> None:
    done = driver.run("logs", "nobody", status=1)
    assert "no training job, tuning job, transform job or endpoint is called nobody in us-east-1" in done.stderr


def test_a_job_that_has_ended_is_not_stopped_again(driver: Driver) -> None:
    name = create(driver, "over")
    driver.run("logs", name, "--follow")
    assert driver.json("stop", name) == [{"name": "over", "kind": "training", "state": "Completed", "artifact": ""}]
    assert driver.json("stop", name, "--dry-run") == [{"name": "over", "kind": "training", "state": "Completed"}]


def test_answered_requests_are_counted_and_not_shown_one_by_one() -> None:
    shown = io.StringIO()
    screen = Screen(shown)
    good, bad = (json.dumps({"request_id": "a", "code": code}) for code in (200, 422))
    for text in (good, bad, "{not JSON", '{"code": 200}', good):
        screen.log(Line(0.0, "algo-1", text), 1, 0)
    screen.count()
    screen.count()
    said = [line.partition("   ")[2] or line.rpartition("  ")[2] for line in shown.getvalue().splitlines()]
    assert said == [bad, "{not JSON", '{"code": 200}', "2 requests answered"]
    assert good not in screen.tail
