"""Odd and hostile requests: each is answered with a reason, reaches nothing outside its folder, and leaves the emulator unchanged."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import Emulator, emulate, ended, training_request

PROGRAMS = Path(__file__).parent / "programs"
S3 = {"Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, Signature=0"}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    running = emulate(tmp_path_factory.mktemp("odd") / "data", "--hold", "20", "--programs", str(PROGRAMS))
    running.client("s3").create_bucket(Bucket="photos")
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"
    assert "Traceback" not in running.output.read_text()


def send(odd: Emulator, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(odd.url.removeprefix("http://"))) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode()


@pytest.mark.parametrize(
    "body, code",
    [
        (b"[" * 100_000, "SerializationException"),
        (b'{"NameContains": "\xff"}', "SerializationException"),
        (b'{"MaxResults": ' + b"9" * 5000 + b"}", "SerializationException"),
        (b'{"MaxResults": NaN}', "ValidationException"),
        (b'{"CreationTimeAfter": "yesterday"}', "ValidationException"),
        (b'{"CreationTimeAfter": 1e999}', "ValidationException"),
        (b'{"NameContains": "\\ud800"}', "ValidationException"),
        (b'{"NextToken": "ZnJvbSAtNQ=="}', "ValidationException"),  # "from -5"
    ],
)
def test_a_body_that_is_not_a_request_is_refused_with_a_code(odd: Emulator, body: bytes, code: str) -> None:
    status, text = send(odd, "POST", "/", body, X_Amz_Target="SageMaker.ListTrainingJobs")
    assert status == 400 and json.loads(text)["__type"] == code


def test_members_that_are_null_are_absent(odd: Emulator) -> None:
    body = json.dumps({"MaxResults": None, "NameContains": None, "CreationTimeAfter": None, "SortBy": None}).encode()
    assert send(odd, "POST", "/", body, X_Amz_Target="SageMaker.ListTrainingJobs")[0] == 200


@pytest.mark.parametrize(
    "method, path", [("POST", "/endpoints/..%2f..%2fetc/invocations"), ("GET", "/_local/logs/training-job/..%2f..%2fx")]
)
def test_a_path_that_names_nothing_of_ours_is_not_found(odd: Emulator, method: str, path: str) -> None:
    status, text = send(odd, method, path, b"x" if method == "POST" else b"")
    assert status == 404 and json.loads(text)["__type"] == "UnknownOperationException"


def test_a_fault_that_is_nested_too_deep_is_refused(odd: Emulator) -> None:
    assert send(odd, "POST", "/_local/faults", b"[" * 100_000)[0] == 400


@pytest.mark.parametrize(
    "path, headers, code",
    [
        ("/.other", {}, "InvalidBucketName"),  # one of the emulator's own folders is beside the buckets
        ("/.index", {}, "InvalidBucketName"),
        ("/UPPER", {}, "InvalidBucketName"),
        ("/..", {}, "InvalidBucketName"),
        ("/photos/" + "k" * 1025, {}, "KeyTooLongError"),
        ("/photos/a%0Ab", {}, "NotImplemented"),
        ("/photos/a", {"X_Amz_Decoded_Content_Length": "many"}, "InvalidArgument"),
        ("/photos/a", {"X_Amz_Content_Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, "IncompleteBody"),
        ("/two..periods", {}, "InvalidBucketName"),
        ("/192.168.1.1", {}, "InvalidBucketName"),
        ("/photos/a", {"Content_MD5": "no base64"}, "InvalidDigest"),
        ("/photos/a", {"X_Amz_Copy_Source": "photos"}, "InvalidArgument"),
        ("/photos/a?partNumber=1&uploadId=none", {}, "NoSuchUpload"),
        ("/photos/a?partNumber=0&uploadId=none", {}, "InvalidArgument"),
    ],
)
def test_a_put_that_s3_does_not_admit_is_refused_with_its_code(
    odd: Emulator, path: str, headers: dict[str, str], code: str
) -> None:
    status, text = send(odd, "PUT", path, b"zz\r\nx", **S3, **headers)
    assert status >= 400 and f"<Code>{code}</Code>" in text


@pytest.mark.parametrize(
    "path, code", [("/photos?delete", "MalformedXML"), ("/photos/a?uploadId=none", "NoSuchUpload")]
)
def test_a_post_that_s3_does_not_admit_is_refused_with_its_code(odd: Emulator, path: str, code: str) -> None:
    status, text = send(odd, "POST", path, b"not XML", **S3)
    assert status in (400, 404) and f"<Code>{code}</Code>" in text


def test_a_part_of_an_upload_that_ended_with_the_emulator_is_refused_while_it_is_sent(odd: Emulator) -> None:
    with pytest.raises(ClientError, match="NoSuchUpload"):
        odd.client("s3").upload_part(Bucket="photos", Key="a", UploadId="gone", PartNumber=1, Body=b"x" * (8 << 20))


def refusal(odd: Emulator, **changes: Any) -> str:
    """Return the reason for which a training job is refused or fails."""
    request = training_request("odd", **({"HyperParameters": {"do": "list"}, "InputDataConfig": None} | changes))
    request["TrainingJobName"] = f"odd-{os.urandom(4).hex()}"
    client = odd.client("sagemaker")
    try:
        client.create_training_job(**request)
    except ClientError as error:
        return str(error.response["Error"]["Message"])
    return str(ended(client, request["TrainingJobName"]).get("FailureReason"))


@pytest.mark.parametrize(
    "path",
    ["/opt/ml/checkpoints/../../../outside", "/opt/ml/model", "/opt/ml", "/", "relative", "/opt/ml/input/data/x"],
)
def test_checkpoints_are_in_no_folder_of_the_platform_or_of_this_machine(odd: Emulator, path: str) -> None:
    config = {"S3Uri": "s3://photos/checkpoints", "LocalPath": path}
    assert "is not emulated" in refusal(odd, CheckpointConfig=config)


def test_a_link_to_a_file_of_this_machine_does_not_bring_it_to_s3(odd: Emulator) -> None:
    secret = odd.data.parent / "secret"
    secret.write_text("secret")
    for number, changes in enumerate(
        (
            {"CheckpointConfig": {"S3Uri": "s3://photos/linked"}},
            {"OutputDataConfig": {"S3OutputPath": "s3://photos/linked", "CompressionType": "NONE"}},
        )
    ):
        hyperparameters = {"do": "link", "to": str(secret), "number": str(number)}
        refusal(odd, HyperParameters=hyperparameters, **changes)
    s3 = odd.client("s3")
    found = s3.list_objects_v2(Bucket="photos", Prefix="linked/")["Contents"]
    kept = [s3.get_object(Bucket="photos", Key=entry["Key"])["Body"].read() for entry in found]
    assert b"mine" in kept and b"secret" not in kept


def test_a_failure_file_that_links_to_a_file_of_this_machine_is_not_read(odd: Emulator) -> None:
    secret = odd.data.parent / "secret"
    secret.write_text("secret")
    assert refusal(odd, HyperParameters={"do": "blame", "to": str(secret)}) == "AlgorithmError: , exit code: 3"


@pytest.mark.parametrize(
    "keys, text",
    [
        (["a", "a/b"], "a previously downloaded file/folder clashes with it"),
        (["n" * 300], "File name too long"),
        (["../../outside"], "leads out of its folder"),
    ],
)
def test_keys_that_cannot_be_files_fail_the_job_with_a_reason(odd: Emulator, keys: list[str], text: str) -> None:
    prefix = f"channel-{os.urandom(4).hex()}/"
    for key in keys:
        odd.client("s3").put_object(Bucket="photos", Key=prefix + key, Body=b"1")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://photos/{prefix}"}}
    found = refusal(odd, InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    assert found.startswith("ClientError: ") and text in found


def test_a_variable_with_a_nul_character_fails_the_job_with_a_reason(odd: Emulator) -> None:
    assert "a NUL character is in a variable" in refusal(odd, Environment={"A": "a\0b"})


def test_a_program_without_a_search_path_is_still_shown_its_read_only_folders(odd: Emulator) -> None:
    assert "unshare" not in refusal(odd, Environment={"PATH": "/nowhere"})


def test_two_jobs_whose_names_differ_in_case_alone_are_not_both_made(odd: Emulator) -> None:
    client = odd.client("sagemaker")
    request = training_request("Twice", HyperParameters={"do": "list"}, InputDataConfig=None)
    client.create_training_job(**request)
    with pytest.raises(ClientError, match="ResourceInUse"):
        client.create_training_job(**request | {"TrainingJobName": "twice"})
    ended(client, "Twice")
