"""Transform jobs that fail, are stopped or are refused."""

import gzip
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import Emulator, order
from tests.sagemaker.transforming import create, ended, log, outputs, put, transforming
from tests.server import until


@pytest.fixture(scope="module")
def transformed(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    yield from transforming(tmp_path_factory.mktemp("transformed"))


@pytest.fixture(scope="module")
def sagemaker(transformed: Emulator) -> Any:
    return transformed.client("sagemaker")


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


def start_waiting(transformed: Emulator, sagemaker: Any, name: str) -> None:
    """Start a job whose program waits, and return when the program has received its object."""
    put(transformed, f"{name}/a", b"wait")
    create(sagemaker, name, {})
    until("no object arrives", lambda: any(line.startswith("got ") for line in log(transformed, name)))


def test_a_stopped_job_ends_at_once(transformed: Emulator, sagemaker: Any) -> None:
    start_waiting(transformed, sagemaker, "stopped")
    sagemaker.stop_transform_job(TransformJobName="stopped")
    assert ended(sagemaker, "stopped")["TransformJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="the transform job is in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName="stopped")


def test_a_job_that_waits_for_its_place_can_be_stopped(transformed: Emulator, sagemaker: Any) -> None:
    running = ("running-1", "running-2")  # one job for each place
    for name in running:
        start_waiting(transformed, sagemaker, name)
    put(transformed, "queued/a", b"fine")
    create(sagemaker, "queued", {})
    for name in ("queued", *running):
        sagemaker.stop_transform_job(TransformJobName=name)
        job = ended(sagemaker, name)
        assert job["TransformJobStatus"] == "Stopped" and ("TransformStartTime" in job) == (name != "queued")


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
