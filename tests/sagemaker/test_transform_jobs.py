"""Transform jobs through boto3: the requests to a serving program, and what happens to its answers."""

import gzip
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sagemaker.conftest import Emulator
from tests.sagemaker.transforming import log, transform, transforming


@pytest.fixture(scope="module")
def transformed(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    yield from transforming(tmp_path_factory.mktemp("transformed"))


@pytest.fixture(scope="module")
def sagemaker(transformed: Emulator) -> Any:
    return transformed.client("sagemaker")


@pytest.fixture(scope="module")
def whole(transformed: Emulator) -> dict[str, bytes]:
    """The answers of a job that sends each object whole."""
    limits = {"MaxPayloadInMB": 2, "MaxConcurrentTransforms": 3, "BatchStrategy": "SingleRecord"}
    objects = {"a": b"one", "b/c": b"two\nlines", "b/d": b"three"}
    types = {"ContentType": "text/plain"}
    tags = [{"Key": "team", "Value": "dogs"}]
    return transform(
        transformed,
        "whole",
        objects,
        types,
        {"Accept": "text/loud"},
        **limits,
        Environment={"OF_JOB": "2", "TOGETHER": "3"},
        Tags=tags,
    )


def test_every_object_has_an_answer_of_its_own(whole: dict[str, bytes]) -> None:
    assert whole == {"a.out": b"ONE", "b/c.out": b"TWO\nLINES", "b/d.out": b"THREE"}


def test_the_program_learns_of_the_job_and_gets_requests_with_the_content_types(
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
