"""Training jobs of a program that prints its inputs, for tests of the inputs of training containers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.sagemaker.commands import PROGRAMS
from tests.sagemaker.conftest import ROLE, Emulator, emulate, ended
from tests.server import until

LOGS = "/aws/sagemaker/TrainingJobs"
OBJECTS = {"set/a/1": "one", "set/a/2": "two", "set/b/3": "three", "set/4": "four", "set/": "", "other/5": "five"}
MANIFEST = [{"prefix": "s3://data/"}, "set/a/2", "other/5"]


def showing(folder: Path) -> Iterator[Emulator]:
    """Run an emulator whose training image holds a program that prints its inputs, with some objects."""
    running = emulate(folder / "data", "--hold", "20", "--jobs", "2", "--programs", str(PROGRAMS))
    s3 = running.client("s3")
    s3.create_bucket(Bucket="data")
    for key, content in OBJECTS.items():
        s3.put_object(Bucket="data", Key=key, Body=content.encode())
    s3.put_object(Bucket="data", Key="manifest", Body=json.dumps(MANIFEST).encode())
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"


def channel(name: str, uri: str, mode: str = "File", kind: str = "S3Prefix", **more: Any) -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": uri, **more.pop("source", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": mode, **more}


def create(
    shown: Emulator, name: str, *channels: dict[str, Any], hosts: int = 1, do: str = "list", **changes: Any
) -> Any:
    """Create a job of that program and return the client.

    `changes` replace members of the request. Two are not members: `settings` are further hyperparameters, and `client` replaces
    a new client.
    """
    settings, client = changes.pop("settings", {}), changes.pop("client", None) or shown.client("sagemaker")
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
    client.create_training_job(**{key: value for key, value in request.items() if value})
    return client


def printed(shown: Emulator, name: str) -> list[dict[str, Any]]:
    """Return the output of each attempt of each host, keyed by the first word of each line; nothing before the first start."""
    logs = shown.client("logs")
    try:
        streams = logs.describe_log_streams(logGroupName=LOGS, logStreamNamePrefix=f"{name}/")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    found = []
    for stream in sorted(stream["logStreamName"] for stream in streams):
        events = logs.get_log_events(logGroupName=LOGS, logStreamName=stream, startFromHead=True)["events"]
        pairs = (event["message"].split(" ", 1) for event in events)
        found.append({word: json.loads(content) for word, content in pairs})
    return found


def run(shown: Emulator, name: str, *channels: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """Run a job to its end and return the output of its hosts."""
    job = ended(create(shown, name, *channels, **changes), name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return printed(shown, name)


def wait_for(shown: Emulator, name: str, word: str) -> None:
    until(f"{name} does not print {word}", lambda: any(word in host for host in printed(shown, name)))


def keys(shown: Emulator, prefix: str) -> list[str]:
    listed = shown.client("s3").list_objects_v2(Bucket="data", Prefix=prefix)
    return [entry["Key"].removeprefix(prefix) for entry in listed.get("Contents", [])]
