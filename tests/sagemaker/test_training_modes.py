"""What a training container is given and what becomes of it: a program that shows what it sees, through boto3."""

import gzip
import io
import json
import random
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import ROLE, Emulator, emulate, ended, order, take_back

PROGRAMS = Path(__file__).parent / "programs"
LOGS = "/aws/sagemaker/TrainingJobs"
OBJECTS = {"set/a/1": "one", "set/a/2": "two", "set/b/3": "three", "set/4": "four", "set/": "", "other/5": "five"}
MANIFEST = [{"prefix": "s3://data/"}, "set/a/2", "other/5"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    """An emulator whose training image holds the program that shows what it sees."""
    running = emulate(
        tmp_path_factory.mktemp("shown") / "data", "--hold", "20", "--jobs", "2", "--programs", str(PROGRAMS)
    )
    s3 = running.client("s3")
    s3.create_bucket(Bucket="data")
    for key, content in OBJECTS.items():
        s3.put_object(Bucket="data", Key=key, Body=content.encode())
    s3.put_object(Bucket="data", Key="manifest", Body=json.dumps(MANIFEST).encode())
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "what ran has left files"


def channel(name: str, uri: str, mode: str = "File", kind: str = "S3Prefix", **more: Any) -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": uri, **more.pop("source", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": mode, **more}


def create(
    shown: Emulator, name: str, *channels: dict[str, Any], hosts: int = 1, do: str = "list", **changes: Any
) -> Any:
    """Create a job of that program and return the client."""
    settings = changes.pop("settings", {})
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": "byoc-classifier-train", "TrainingInputMode": "File"},
        "HyperParameters": {"do": do, **settings},
        "InputDataConfig": list(channels),
        "OutputDataConfig": {"S3OutputPath": "s3://data/out/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    } | changes
    client = shown.client("sagemaker")
    client.create_training_job(**{key: value for key, value in request.items() if value})
    return client


def told(shown: Emulator, name: str) -> list[dict[str, Any]]:
    """Return what each attempt of each host has printed, by the first word of the line."""
    logs = shown.client("logs")
    streams = logs.describe_log_streams(logGroupName=LOGS, logStreamNamePrefix=f"{name}/")["logStreams"]
    found = []
    for stream in sorted(stream["logStreamName"] for stream in streams):
        events = logs.get_log_events(logGroupName=LOGS, logStreamName=stream, startFromHead=True)["events"]
        pairs = (event["message"].split(" ", 1) for event in events)
        found.append({word: json.loads(content) for word, content in pairs})
    return found


def run(shown: Emulator, name: str, *channels: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """Run a job to its end and return what its hosts have printed."""
    job = ended(create(shown, name, *channels, **changes), name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return told(shown, name)


def test_files_lie_below_the_channel_as_their_keys_go_on_behind_the_prefix(shown: Emulator) -> None:
    channels = [
        channel("slash", "s3://data/set/"),
        channel("bare", "s3://data/set"),
        channel("name", "s3://data/other/"),
    ]
    [host] = run(shown, "files", *channels)
    below = {"a/1": "one", "a/2": "two", "b/3": "three", "4": "four"}
    expected = {f"{name}/{key}": text for name in ("slash", "bare") for key, text in below.items()}
    assert host["files"] == {**expected, "name/5": "five"}
    assert host["channels"]["slash"] == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }


def test_a_manifest_names_the_objects(shown: Emulator) -> None:
    [host] = run(shown, "manifest", channel("named", "s3://data/manifest", kind="ManifestFile"))
    assert host["files"] == {"named/set/a/2": "two", "named/other/5": "five"}


def test_shards_share_the_objects_out_and_replicas_have_them_all(shown: Emulator) -> None:
    shard = channel("part", "s3://data/set/", source={"S3DataDistributionType": "ShardedByS3Key"})
    hosts = run(shown, "shards", shard, channel("whole", "s3://data/other/"), hosts=2)
    assert [host["hosts"][1] for host in hosts] == [["127.0.0.1", "127.0.0.2"]] * 2
    parts = [{name for name in host["files"] if name.startswith("part/")} for host in hosts]
    assert [len(part) for part in parts] == [2, 2] and not parts[0] & parts[1]
    assert all("whole/5" in host["files"] for host in hosts)


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


def test_a_fast_file_channel_cannot_be_written_to(shown: Emulator) -> None:
    [host] = run(
        shown, "fast", channel("fast", "s3://data/set/", "FastFile"), channel("file", "s3://data/set/"), do="write"
    )
    if "is copied" in shown.output.read_text():
        pytest.skip("no mount namespaces here: such a channel is copied, and the emulator says so")
    assert (host["fast"], host["file"]) == ("Read-only file system", "written")
    [host] = run(shown, "fast-files", channel("fast", "s3://data/other/", "FastFile"))
    assert host["files"] == {"fast/5": "five"}


def test_a_pipe_gives_each_epoch_anew(shown: Emulator) -> None:
    s3 = shown.client("s3")
    s3.put_object(Bucket="data", Key="packed/1", Body=gzip.compress(b"packed"))
    channels = [
        channel("plain", "s3://data/set/a/", "Pipe"),
        channel("zipped", "s3://data/packed/", "Pipe", CompressionType="Gzip"),
        channel("records", "s3://data/other/", "Pipe", RecordWrapperType="RecordIO"),
    ]
    [host] = run(shown, "pipes", *channels, do="pipe", settings={"epochs": "2"})
    record = struct.pack("<II", 0xCED7230A, 4) + b"five"
    expected = {"plain": "onetwo", "zipped": "packed", "records": record.decode("latin-1")}
    assert host["epoch-0"] == host["epoch-1"] == expected


def test_a_shuffled_pipe_orders_each_epoch_anew(shown: Emulator) -> None:
    s3 = shown.client("s3")
    for number in range(20):
        s3.put_object(Bucket="data", Key=f"many/{number:02}", Body=f"{number:02} ".encode())
    shuffled = channel("many", "s3://data/many/", "Pipe", ShuffleConfig={"Seed": random.getrandbits(32)})
    [host] = run(shown, "shuffled", shuffled, do="pipe", settings={"epochs": "2"})
    orders = [host[f"epoch-{epoch}"]["many"].split() for epoch in range(2)]
    assert sorted(orders[0]) == sorted(orders[1]) == [f"{number:02}" for number in range(20)]
    assert orders[0] != orders[1]


def test_an_augmented_manifest_comes_as_records_in_the_order_of_its_attributes(shown: Emulator) -> None:
    lines = [{"source-ref": "s3://data/other/5", "label": 7}, {"label": 8, "source-ref": "s3://data/set/4"}]
    shown.client("s3").put_object(Bucket="data", Key="augmented", Body="\n".join(map(json.dumps, lines)).encode())
    source = {"AttributeNames": ["source-ref", "label"]}
    more: dict[str, Any] = {"source": source, "RecordWrapperType": "RecordIO"}
    augmented = channel("seen", "s3://data/augmented", "Pipe", "AugmentedManifestFile", **more)
    [host] = run(shown, "augmented", augmented, do="pipe", settings={"epochs": "1"})
    content = host["epoch-0"]["seen"].encode("latin-1")
    found = []
    while content:
        length = struct.unpack_from("<II", content)[1]
        found.append(content[8 : 8 + length])
        content = content[8 + length + -length % 4 :]
    assert found == [b"five", b"7", b"four", b"8"]


@pytest.mark.parametrize(
    "wrong",
    [
        channel("c", "s3://data/manifest", "FastFile", "ManifestFile"),
        channel("c", "s3://data/set/", CompressionType="Gzip"),
        channel("c", "s3://data/set/", RecordWrapperType="RecordIO"),
        channel("c", "s3://data/manifest", "File", "AugmentedManifestFile"),
        channel("c", "s3://data/augmented", "Pipe", "AugmentedManifestFile"),
        channel("c", "s3://data/se"),
        channel("c", "s3://nowhere/set/"),
    ],
)
def test_a_channel_that_the_platform_does_not_bring_is_refused(shown: Emulator, wrong: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        create(shown, "refused", wrong)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_nothing_of_the_emulators_environment_leaks_into_a_container(shown: Emulator) -> None:
    [host] = run(shown, "variables", do="variables", Environment={"GIVEN": "by the user"})
    assert host["variables"]["GIVEN"] == "by the user"
    assert host["variables"]["TRAINING_JOB_NAME"] == "variables"
    assert host["variables"]["TRAINING_JOB_ARN"].endswith(":training-job/variables")
    assert [name for name in host["variables"] if name.startswith("AWS_")] == ["AWS_EC2_METADATA_DISABLED"]
    assert host["variables"]["AWS_EC2_METADATA_DISABLED"] == "true"
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


def spot(name: str, wait: int = 60) -> dict[str, Any]:
    return {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": wait},
        "CheckpointConfig": {"S3Uri": f"s3://data/checkpoints/{name}"},
    }


def wait_for(shown: Emulator, name: str, word: str) -> None:
    while not any(word in host for host in told(shown, name)):
        time.sleep(0.1)


def keys(shown: Emulator, prefix: str) -> list[str]:
    listed = shown.client("s3").list_objects_v2(Bucket="data", Prefix=prefix)
    return [entry["Key"].removeprefix(prefix) for entry in listed.get("Contents", [])]


def test_an_interrupted_spot_job_goes_on_from_its_checkpoint_in_s3(shown: Emulator) -> None:
    client = create(shown, "spot", do="wait", **spot("spot"))
    wait_for(shown, "spot", "waiting")
    order(shown, kind="interrupt", target="spot")
    job = ended(client, "spot")
    assert job["TrainingJobStatus"] == "Completed"
    phases = [entry["Status"] for entry in job["SecondaryStatusTransitions"]]
    again = ["Starting", "Downloading", "Training"]
    assert phases == [*again, "Interrupted", *again, "Uploading", "Completed"]
    assert [host["kept"] for host in told(shown, "spot")] == [False, True]
    # The file that the program deleted is deleted in S3 too.
    assert keys(shown, "checkpoints/spot/") == ["seen"]


def test_a_job_without_spot_is_never_interrupted(shown: Emulator) -> None:
    order(shown, kind="interrupt", target="steady")
    run(shown, "steady")
    take_back(shown)


def test_a_spot_job_that_waits_too_long_for_capacity_is_stopped(shown: Emulator) -> None:
    order(shown, kind="no-capacity", target="waits", seconds=30)
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
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1, "KeepAlivePeriodInSeconds": 60}
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
    names = [f"queued-{number}" for number in range(12)]
    for name in names:
        create(shown, name)
    jobs = [ended(client, name) for name in names]
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
    order(shown, kind=kind, target="CreateTrainingJob", times=5)  # botocore tries again after throttling
    with pytest.raises(ClientError) as caught:
        create(shown, f"fault-{kind}")
    assert caught.value.response["Error"]["Code"] == code
    take_back(shown)
