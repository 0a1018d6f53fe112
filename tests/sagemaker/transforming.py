"""Transform jobs of a small serving program, for their tests."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.sagemaker.conftest import ROLE, Emulator, emulate

PROGRAMS = Path(__file__).parent / "transformed"
LOGS = "/aws/sagemaker/TransformJobs"
ENDS = ("Completed", "Failed", "Stopped")


def transforming(folder: Path) -> Iterator[Emulator]:
    """Run an emulator whose serving image holds a small program, with a model of it."""
    running = emulate(folder / "data", "--hold", "20", "--jobs", "2", "--programs", str(PROGRAMS))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("weights"))
    running.client("s3").create_bucket(Bucket="batch")
    put(running, "model.tar.gz", archive.getvalue())
    container = {
        "Image": "byoc-classifier-serve",
        "ModelDataUrl": "s3://batch/model.tar.gz",
        "Environment": {"OF_MODEL": "1"},
    }
    running.client("sagemaker").create_model(ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"


def put(emulator: Emulator, key: str, content: bytes) -> None:
    emulator.client("s3").put_object(Bucket="batch", Key=key, Body=content)


def create(
    sagemaker: Any, name: str, of_input: dict[str, Any], output: dict[str, Any] | None = None, **changes: Any
) -> None:
    """Create a job over s3://batch/NAME/, whose answers go to s3://batch/out/NAME."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://batch/{name}/", **of_input.pop("source", {})}
    request = {
        "TransformJobName": name,
        "ModelName": "model",
        "TransformInput": {"DataSource": {"S3DataSource": source}, **of_input},
        "TransformOutput": {"S3OutputPath": f"s3://batch/out/{name}", **(output or {})},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    sagemaker.create_transform_job(**(request | changes))


def ended(sagemaker: Any, name: str) -> dict[str, Any]:
    while True:
        answer: dict[str, Any] = sagemaker.describe_transform_job(TransformJobName=name)
        if answer["TransformJobStatus"] in ENDS:
            return answer


def outputs(emulator: Emulator, name: str) -> dict[str, bytes]:
    """Return the objects that a job has put into S3, by the keys below its output path."""
    s3 = emulator.client("s3")
    found = s3.list_objects_v2(Bucket="batch", Prefix=f"out/{name}/").get("Contents", [])
    keys = [entry["Key"] for entry in found]
    return {key.removeprefix(f"out/{name}/"): s3.get_object(Bucket="batch", Key=key)["Body"].read() for key in keys}


def log(emulator: Emulator, name: str) -> list[str]:
    """Return the lines of both log streams of a job so far: its container's log and its data log."""
    logs = emulator.client("logs")
    try:
        streams = logs.describe_log_streams(logGroupName=LOGS, logStreamNamePrefix=f"{name}/")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    lines = []
    for stream in streams:
        events = logs.get_log_events(logGroupName=LOGS, logStreamName=stream["logStreamName"], startFromHead=True)[
            "events"
        ]
        lines += [event["message"] for event in events]
    return lines


def transform(
    emulator: Emulator,
    name: str,
    objects: dict[str, bytes],
    of_input: dict[str, Any],
    output: dict[str, Any],
    **more: Any,
) -> dict[str, bytes]:
    """Run one job on these objects and return the objects that it has put into S3."""
    for key, content in objects.items():
        put(emulator, f"{name}/{key}", content)
    create(emulator.client("sagemaker"), name, of_input, output, **more)
    job = ended(emulator.client("sagemaker"), name)
    assert job["TransformJobStatus"] == "Completed", (job, log(emulator, name))
    return outputs(emulator, name)
