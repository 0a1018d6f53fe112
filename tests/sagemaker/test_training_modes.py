"""Training jobs apart from their channels: archives, variables, logs, spot, faults, retries, warm pools, places."""

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import Emulator, ended, order, take_back
from tests.sagemaker.training import LOGS, create, keys, printed, run, showing, wait_for


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    yield from showing(tmp_path_factory.mktemp("shown"))


def test_the_archives_hold_what_all_hosts_left(shown: Emulator) -> None:
    run(shown, "archives", hosts=2)
    for name in ("model", "output"):
        body = shown.client("s3").get_object(Bucket="data", Key=f"out/archives/output/{name}.tar.gz")["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            assert sorted(tar.getnames()) == [f"{name}-of-127.0.0.1", f"{name}-of-127.0.0.2"]


def test_a_model_need_not_be_packed(shown: Emulator) -> None:
    client = create(shown, "plain", OutputDataConfig={"S3OutputPath": "s3://data/out", "CompressionType": "NONE"})
    assert ended(client, "plain")["ModelArtifacts"]["S3ModelArtifacts"] == "s3://data/out/plain/output/model/"
    assert (
        shown.client("s3").get_object(Bucket="data", Key="out/plain/output/model/model-of-algo-1")["Body"].read()
        == b"model"
    )


def test_nothing_of_the_emulators_environment_leaks_into_a_container(shown: Emulator) -> None:
    [host] = run(shown, "variables", do="variables", Environment={"GIVEN": "by the user"})
    assert host["variables"]["GIVEN"] == "by the user"
    assert host["variables"]["TRAINING_JOB_NAME"] == "variables"
    assert host["variables"]["TRAINING_JOB_ARN"].endswith(":training-job/variables")
    assert [name for name in host["variables"] if name.startswith("AWS_")] == ["AWS_EC2_METADATA_DISABLED"]
    assert host["variables"]["AWS_EC2_METADATA_DISABLED"] == "true"
    assert host["variables"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert not [name for name in host["variables"] if "proxy" in name.lower()]


def test_a_request_may_let_its_containers_look_for_keys(shown: Emulator) -> None:
    [host] = run(shown, "keys", do="variables", Environment={"AWS_EC2_METADATA_DISABLED": "false"})
    assert host["variables"]["AWS_EC2_METADATA_DISABLED"] == "false"


def test_log_events_of_a_prefix_are_those_of_its_streams_alone(shown: Emulator) -> None:
    run(shown, "followed", hosts=2)
    run(shown, "followed-not")
    logs = shown.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=LOGS, logStreamNamePrefix="followed/", PaginationConfig={"PageSize": 2}
    )
    events = [event for page in pages for event in page["events"]]
    assert {event["logStreamName"].rpartition("-")[0] for event in events} == {"followed/algo-1", "followed/algo-2"}
    assert len(events) == len({event["eventId"] for event in events}) == 6
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
    nothing = logs.filter_log_events(logGroupName=LOGS, logStreamNamePrefix="no-such-job/")
    assert nothing["events"] == [] and nothing["searchedLogStreams"] == []
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.filter_log_events(logGroupName=LOGS, logStreamNamePrefix="a", logStreamNames=["b"])
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.filter_log_events(logGroupName="/no/such/group", logStreamNamePrefix="a")


def test_a_failure_of_one_host_fails_the_job_with_its_text(shown: Emulator) -> None:
    job = ended(create(shown, "fails", hosts=2, do="fail", settings={"text": "no memory left"}), "fails")
    assert (job["TrainingJobStatus"], job["FailureReason"]) == (
        "Failed",
        "AlgorithmError: no memory left, exit code: 3",
    )


def spot(name: str, wait: int = 600) -> dict[str, Any]:
    return {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": wait},
        "CheckpointConfig": {"S3Uri": f"s3://data/checkpoints/{name}"},
    }


def test_an_interrupted_spot_job_goes_on_from_its_checkpoint_in_s3(shown: Emulator) -> None:
    client = create(shown, "spot", do="wait", **spot("spot"))
    wait_for(shown, "spot", "waiting")
    order(shown, kind="interrupt", target="spot")
    job = ended(client, "spot")
    assert job["TrainingJobStatus"] == "Completed"
    phases = [entry["Status"] for entry in job["SecondaryStatusTransitions"]]
    again = ["Starting", "Downloading", "Training"]
    assert phases == [*again, "Interrupted", *again, "Uploading", "Completed"]
    assert [host["kept"] for host in printed(shown, "spot")] == [False, True]
    # The file that the program deleted is deleted in S3 too.
    assert keys(shown, "checkpoints/spot/") == ["seen"]


def test_a_job_without_spot_is_never_interrupted(shown: Emulator) -> None:
    order(shown, kind="interrupt", target="steady")
    run(shown, "steady")
    take_back(shown)


def test_a_spot_job_that_waits_too_long_for_capacity_is_stopped(shown: Emulator) -> None:
    order(shown, kind="no-capacity", target="waits", seconds=600)
    condition = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}
    job = ended(create(shown, "waits", **(spot("waits") | {"StoppingCondition": condition})), "waits")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")


def test_a_job_that_finds_no_capacity_fails_with_capacity_error(shown: Emulator) -> None:
    byoc = Path(sys.executable).parent / "byoc"
    subprocess.run([byoc, "emulate", "fault", "no-capacity", "none", "--data", shown.data], check=True)
    job = ended(create(shown, "none"), "none")
    assert job["TrainingJobStatus"] == "Failed" and "CapacityError" in job["FailureReason"]


def test_a_job_that_does_not_find_its_image_fails(shown: Emulator) -> None:
    order(shown, kind="image-missing", target="no-image")
    job = ended(create(shown, "no-image"), "no-image")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: Cannot find the image byoc-classifier-train"


@pytest.mark.parametrize("retries, status", [(1, "Completed"), (None, "Failed")])
def test_an_internal_error_is_tried_again_as_often_as_the_request_says(
    shown: Emulator, retries: int | None, status: str
) -> None:
    name = f"broken-{retries or 0}"
    strategy = {"RetryStrategy": {"MaximumRetryAttempts": retries}} if retries else {}
    client = create(shown, name, do="wait", CheckpointConfig={"S3Uri": f"s3://data/checkpoints/{name}"}, **strategy)
    wait_for(shown, name, "waiting")
    order(shown, kind="internal-error", target=name)
    job = ended(client, name)
    assert job["TrainingJobStatus"] == status
    assert job.get("FailureReason", "InternalServerError").startswith("InternalServerError")


def test_a_warm_pool_goes_to_the_next_job_that_matches(shown: Emulator) -> None:
    resources = {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 1,
        "VolumeSizeInGB": 1,
        "KeepAlivePeriodInSeconds": 3600,
    }
    client = shown.client("sagemaker")
    counts = []
    for name, size in (("pool-1", 1), ("pool-2", 1), ("pool-3", 2)):
        counts.append(run(shown, name, do="cache", ResourceConfig=resources | {"VolumeSizeInGB": size})[0]["count"])
    assert counts == ["1", "2", "1"]
    pools = [client.describe_training_job(TrainingJobName=f"pool-{number}")["WarmPoolStatus"] for number in (1, 2, 3)]
    assert [pool["Status"] for pool in pools] == ["Reused", "Available", "Available"]
    assert pools[0]["ReusedByJob"] == "pool-2"
    found = client.list_training_jobs(WarmPoolStatusEquals="Available")["TrainingJobSummaries"]
    assert {summary["TrainingJobName"] for summary in found} == {"pool-2", "pool-3"}


def test_jobs_wait_for_room_and_all_are_done(shown: Emulator) -> None:
    client = shown.client("sagemaker")
    running, waiting = ["running-1", "running-2"], [f"queued-{number}" for number in range(12)]
    for name in running:  # one job for each place
        create(shown, name, do="sleep", settings={"seconds": "600"}, StoppingCondition={"MaxRuntimeInSeconds": 900})
    for name in waiting:
        create(shown, name)
    for name in running:
        client.stop_training_job(TrainingJobName=name)
    jobs = [ended(client, name) for name in waiting]
    assert {job["TrainingJobStatus"] for job in jobs} == {"Completed"}
    assert any("Pending" in [entry["Status"] for entry in job["SecondaryStatusTransitions"]] for job in jobs)


@pytest.mark.parametrize(
    "kind, code",
    [
        ("quota", "ResourceLimitExceeded"),
        ("throttle", "ThrottlingException"),
        ("expired-token", "ExpiredTokenException"),
        ("server-error", "InternalFailure"),
    ],
)
def test_an_action_is_refused_as_a_fault_says(shown: Emulator, kind: str, code: str) -> None:
    order(shown, kind=kind, target="CreateTrainingJob")
    with pytest.raises(ClientError) as caught:
        create(shown, f"fault-{kind}", client=shown.impatient("sagemaker"))
    assert caught.value.response["Error"]["Code"] == code
