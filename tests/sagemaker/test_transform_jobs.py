"""Transform jobs through boto3: what a serving program is sent, and what becomes of its answers."""

import gzip
import io
import json
import struct
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import ROLE, Emulator, emulate, order

PROGRAMS = Path(__file__).parent / "transformed"
LOGS = "/aws/sagemaker/TransformJobs"
ENDS = ("Completed", "Failed", "Stopped")


@pytest.fixture(scope="module")
def transformed(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    """An emulator whose serving image holds a small program, and a model of it."""
    data = tmp_path_factory.mktemp("transformed") / "data"
    running = emulate(data, "--hold", "20", "--jobs", "2", "--programs", str(PROGRAMS))
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
    assert not list((running.data / "work").iterdir()), "what ran has left files"


@pytest.fixture(scope="module")
def sagemaker(transformed: Emulator) -> Any:
    return transformed.client("sagemaker")


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
    """Return what a job has put into S3, by the keys below its output path."""
    s3 = emulator.client("s3")
    found = s3.list_objects_v2(Bucket="batch", Prefix=f"out/{name}/").get("Contents", [])
    keys = [entry["Key"] for entry in found]
    return {key.removeprefix(f"out/{name}/"): s3.get_object(Bucket="batch", Key=key)["Body"].read() for key in keys}


def log(emulator: Emulator, name: str) -> list[str]:
    """Return the lines of a job's streams, its container's and its data log."""
    logs = emulator.client("logs")
    streams = logs.describe_log_streams(logGroupName=LOGS, logStreamNamePrefix=f"{name}/")["logStreams"]
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
    """Run one job over these objects and return what it has put into S3."""
    for key, content in objects.items():
        put(emulator, f"{name}/{key}", content)
    create(emulator.client("sagemaker"), name, of_input, output, **more)
    job = ended(emulator.client("sagemaker"), name)
    assert job["TransformJobStatus"] == "Completed", (job, log(emulator, name))
    return outputs(emulator, name)


@pytest.fixture(scope="module")
def whole(transformed: Emulator) -> dict[str, bytes]:
    """A job of whole objects."""
    limits = {"MaxPayloadInMB": 2, "MaxConcurrentTransforms": 3, "BatchStrategy": "SingleRecord"}
    objects = {"a": b"one", "b/c": b"two\nlines", "b/d": b"three"}
    types = {"ContentType": "text/plain"}
    tags = [{"Key": "team", "Value": "dogs"}]
    return transform(
        transformed, "whole", objects, types, {"Accept": "text/loud"}, **limits, Environment={"OF_JOB": "2"}, Tags=tags
    )


def test_every_object_has_an_answer_of_its_own(whole: dict[str, bytes]) -> None:
    assert whole == {"a.out": b"ONE", "b/c.out": b"TWO\nLINES", "b/d.out": b"THREE"}


def test_the_program_is_told_of_the_job_and_asked_by_the_content_types(
    transformed: Emulator, whole: dict[str, bytes]
) -> None:
    lines = log(transformed, "whole")
    variables = next(line for line in lines if line.startswith("variables "))
    assert json.loads(variables.removeprefix("variables ")) == {
        "OF_JOB": "2",
        "OF_MODEL": "1",
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2",
    }
    assert "model ['weights']" in lines
    assert any("of text/plain for text/loud, 3 at a time" in line for line in lines)


def test_describe_and_list_show_the_job(sagemaker: Any, whole: dict[str, bytes]) -> None:
    job = sagemaker.describe_transform_job(TransformJobName="whole")
    sent = {"S3OutputPath": "s3://batch/out/whole", "Accept": "text/loud"}
    assert job["TransformOutput"] == {**sent, "AssembleWith": "None", "KmsKeyId": ""}  # the last two are AWS's defaults
    assert job["CreationTime"] <= job["TransformStartTime"] < job["TransformEndTime"]
    [summary] = sagemaker.list_transform_jobs(NameContains="whole", StatusEquals="Completed")["TransformJobSummaries"]
    assert summary["TransformJobArn"] == job["TransformJobArn"]
    assert sagemaker.list_tags(ResourceArn=job["TransformJobArn"])["Tags"] == [{"Key": "team", "Value": "dogs"}]


def test_without_limits_the_programs_own_parameters_count(transformed: Emulator) -> None:
    said = {"MaxConcurrentTransforms": 1, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 5}
    found = transform(
        transformed,
        "own",
        {"a": b"x\ny\n"},
        {"SplitType": "Line"},
        {},
        Environment={"EXECUTION_PARAMETERS": json.dumps(said)},
    )
    assert found == {"a.out": b"XY"}
    lines = log(transformed, "own")
    assert 'variables {"OF_MODEL": "1", "SAGEMAKER_BATCH": "true"}' in lines
    assert "MaxConcurrentTransforms=1, MaxPayloadInMB=5, BatchStrategy=SINGLE_RECORD" in lines


def test_lines_are_packed_up_to_the_payload_and_assembled_by_lines(transformed: Emulator) -> None:
    line = "k" * (300 << 10)
    body = "\n".join([line] * 5).encode()
    split = {"SplitType": "Line", "ContentType": "text/plain", "CompressionType": "Gzip"}
    limits = {"MaxPayloadInMB": 1, "BatchStrategy": "MultiRecord"}
    found = transform(transformed, "lines", {"a.gz": gzip.compress(body)}, split, {"AssembleWith": "Line"}, **limits)
    assert found == {"a.gz.out": body.upper() + b"\n"}
    sizes = [line.split()[1] for line in log(transformed, "lines") if line.startswith("got ")]
    assert sizes == [str(3 * (300 << 10) + 2), str(2 * (300 << 10) + 1)]


def test_records_of_recordio_lose_their_frames_one_by_one(transformed: Emulator) -> None:
    frames = b"".join(
        struct.pack("<II", 0xCED7230A, len(text)) + text + b"\0" * (-len(text) % 4) for text in (b"one", b"three")
    )
    found = transform(
        transformed, "recordio", {"a": frames}, {"SplitType": "RecordIO"}, {}, BatchStrategy="SingleRecord"
    )
    assert found == {"a.out": b"ONETHREE"}


def test_records_of_tfrecord_lose_their_frames_one_by_one(transformed: Emulator) -> None:
    frames = b"".join(struct.pack("<QI", len(text), 0) + text + b"\0" * 4 for text in (b"one", b"three"))
    found = transform(
        transformed, "tfrecord", {"a": frames}, {"SplitType": "TFRecord"}, {}, BatchStrategy="SingleRecord"
    )
    assert found == {"a.out": b"ONETHREE"}


def test_columns_are_filtered_and_joined(transformed: Emulator) -> None:
    found = transform(
        transformed,
        "csv",
        {"a.csv": b"id1,1,2\nid2,3,4\n"},
        {"SplitType": "Line", "ContentType": "text/csv"},
        {"AssembleWith": "Line", "Accept": "text/csv"},
        DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
    )
    assert found == {"a.csv.out": b"id1,3\nid2,7\n"}


def test_json_is_joined_as_a_member_of_its_own(transformed: Emulator) -> None:
    found = transform(
        transformed,
        "json",
        {"a": b'{"id": 1, "features": {"x": 1, "y": 2}}\n{"id": 2, "features": {"z": 3}}\n'},
        {"SplitType": "Line", "ContentType": "application/jsonlines"},
        {"AssembleWith": "Line", "Accept": "application/jsonlines"},
        DataProcessing={
            "InputFilter": "$.features",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
    )
    assert [json.loads(line) for line in found["a.out"].splitlines()] == [
        {"id": 1, "SageMakerOutput": {"members": ["x", "y"]}},
        {"id": 2, "SageMakerOutput": {"members": ["z"]}},
    ]


def test_an_object_that_fails_has_no_answer_and_fails_the_job_but_not_the_others(
    transformed: Emulator, sagemaker: Any
) -> None:
    for key, content in {"a": b"fine\nbad\nfine", "b": b"good"}.items():
        put(transformed, f"refused/{key}", content)
    create(sagemaker, "refused", {"SplitType": "Line"}, BatchStrategy="SingleRecord")
    job = ended(sagemaker, "refused")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    assert outputs(transformed, "refused") == {"b.out": b"GOOD"}
    assert any(
        "refused/a: ClientError: Bad HTTP status received from algorithm: 400" in line
        for line in log(transformed, "refused")
    )


def test_a_failing_program_is_asked_again_as_often_as_the_request_says(transformed: Emulator, sagemaker: Any) -> None:
    put(transformed, "crashes/a", b"crash")
    create(sagemaker, "crashes", {}, ModelClientConfig={"InvocationsMaxRetries": 1})
    assert ended(sagemaker, "crashes")["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert sum(line.startswith("got ") for line in log(transformed, "crashes")) == 2


DAMAGED = {
    "a-return": (b"1,2\r3,4\n", {"ContentType": "text/csv", "SplitType": "Line"}, "is not valid text/csv"),
    "no-text": (b"\xff\xfe,2\n", {"ContentType": "text/csv", "SplitType": "Line"}, "is not valid text/csv"),
    "nested": (b"[" * 100_000, {"ContentType": "application/json"}, "is not valid application/json"),
    "squeezed": (gzip.compress(b"x" * 999)[:15] + b"y" * 20, {"CompressionType": "Gzip"}, "is not valid gzip"),
    "endless": (struct.pack("<QI", 1 << 62, 0), {"SplitType": "TFRecord"}, "Too much data for max payload size"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_object_fails_the_job_with_a_reason(transformed: Emulator, sagemaker: Any, name: str) -> None:
    content, of_input, text = DAMAGED[name]
    put(transformed, f"{name}/a", content)
    processing = {"DataProcessing": {"InputFilter": "$[0]"}} if "ContentType" in of_input else {}
    output = {"Accept": of_input.get("ContentType", "text/plain"), "AssembleWith": "Line"}
    create(sagemaker, name, dict(of_input), output, **processing)
    assert ended(sagemaker, name)["FailureReason"] == "ClientError: See job logs for more information"
    assert any(text in line for line in log(transformed, name))


def test_an_object_larger_than_a_payload_is_refused(transformed: Emulator, sagemaker: Any) -> None:
    put(transformed, "large/a", b"x" * ((1 << 20) + 1))
    create(sagemaker, "large", {}, MaxPayloadInMB=1)
    assert ended(sagemaker, "large")["TransformJobStatus"] == "Failed"
    assert any("Too much data for max payload size" in line for line in log(transformed, "large"))


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("no-capacity", "CapacityError: Unable to provision requested ML compute capacity."),
        ("image-missing", "ClientError: Cannot find the image byoc-classifier-serve"),
        ("internal-error", "InternalServerError: We encountered an internal error. Please try again."),
    ],
)
def test_a_fault_fails_a_job(transformed: Emulator, sagemaker: Any, kind: str, reason: str) -> None:
    put(transformed, f"{kind}/a", b"fine")
    order(transformed, kind=kind, target=kind)
    create(sagemaker, kind, {})
    job = ended(sagemaker, kind)
    assert job["TransformJobStatus"] == "Failed" and job["FailureReason"].startswith(reason)
    assert outputs(transformed, kind) == {}


def test_a_stopped_job_ends_at_once(transformed: Emulator, sagemaker: Any) -> None:
    put(transformed, "stopped/a", b"wait")
    create(sagemaker, "stopped", {})
    while not any(line.startswith("got ") for line in log(transformed, "stopped")):
        time.sleep(0.1)
    sagemaker.stop_transform_job(TransformJobName="stopped")
    assert ended(sagemaker, "stopped")["TransformJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="the transform job is in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName="stopped")


CSV_INPUT = {"ContentType": "text/csv", "SplitType": "Line"}
CSV_OUTPUT = {"Accept": "text/csv", "AssembleWith": "Line"}


@pytest.mark.parametrize(
    "of_input, output, changes, text",
    [
        ({}, {}, {"MaxPayloadInMB": 101}, "at most 100"),
        ({}, {}, {"MaxPayloadInMB": 50, "MaxConcurrentTransforms": 3}, "cannot exceed 100"),
        ({"source": {"S3DataType": "AugmentedManifestFile"}}, {}, {}, "not compatible"),
        ({"source": {"S3Uri": "s3://batch/nowhere"}}, {}, {}, "No S3 objects found"),
        ({}, {}, {"ModelName": "nobody"}, "Could not find model"),
        ({}, {}, {"DataProcessing": {"JoinSource": "Input"}}, "needs a ContentType of text/csv"),
        (
            {"ContentType": "text/csv"},
            {"Accept": "text/csv"},
            {"DataProcessing": {"JoinSource": "Input"}},
            "needs SplitType Line and AssembleWith Line",
        ),
        (CSV_INPUT, CSV_OUTPUT, {"DataProcessing": {"OutputFilter": "$..x"}}, "does not support"),
        (CSV_INPUT, CSV_OUTPUT, {"DataProcessing": {"OutputFilter": "[1]"}}, "does not begin with $"),
    ],
)
def test_a_wrong_request_is_refused(
    transformed: Emulator,
    sagemaker: Any,
    of_input: dict[str, Any],
    output: dict[str, Any],
    changes: dict[str, Any],
    text: str,
) -> None:
    put(transformed, "wrong/a", b"1,2")
    with pytest.raises(ClientError) as caught:
        create(sagemaker, "wrong", dict(of_input), output, **changes)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException" and text in error["Message"]


@pytest.mark.parametrize(
    "changes", [{"MaxPayloadInMB": 0}, {"DataCaptureConfig": {"DestinationS3Uri": "s3://batch/capture"}}]
)
def test_what_is_not_emulated_is_refused_by_name(sagemaker: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        create(sagemaker, "other", {}, **changes)
    error = caught.value.response["Error"]
    assert error["Code"] == "NotEmulated" and next(iter(changes)) in error["Message"]
