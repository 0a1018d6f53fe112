"""S3 through boto3: objects are files in the data folder, are streamed, and are still there after a restart."""

import io
import os
import signal
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import Emulator, emulate, ended, order, training_request

PROGRAMS = Path(__file__).parent / "programs"
# An object beside a folder of its name, an empty part, a folder's marker, a path that leads out, characters of XML and more.
KEYS = ["../../out", "a", "a/b", "c//d", "folder/", "ü ö+&<.jpg"]


@pytest.fixture(scope="module")
def s3(emulator: Emulator) -> Any:
    client = emulator.client("s3")
    client.create_bucket(Bucket="odd")
    for key in KEYS:
        client.put_object(
            Bucket="odd", Key=key, Body=f"at {key}".encode(), Metadata={"Made": "here"}, Tagging="color=red"
        )
    return client


def listed(s3: Any, operation: str, **request: Any) -> list[str]:
    """Return all keys and common prefixes of a listing, two a page."""
    pages = s3.get_paginator(operation).paginate(**request, PaginationConfig={"PageSize": 2})
    found = [(page.get("Contents", []), page.get("CommonPrefixes", [])) for page in pages]
    return sorted(entry.get("Key") or entry["Prefix"] for entries in found for part in entries for entry in part)


def read(s3: Any, **request: Any) -> bytes:
    body: bytes = s3.get_object(**request)["Body"].read()
    return body


@pytest.mark.parametrize("key", KEYS)
def test_an_object_of_any_key_comes_back_as_it_was_put(s3: Any, key: str) -> None:
    answer = s3.get_object(Bucket="odd", Key=key)
    assert answer["Body"].read() == f"at {key}".encode()
    assert answer["Metadata"] == {"made": "here"}
    assert s3.get_object_tagging(Bucket="odd", Key=key)["TagSet"] == [{"Key": "color", "Value": "red"}]


def test_no_object_is_outside_the_folder(emulator: Emulator, s3: Any) -> None:
    assert not list(emulator.data.glob("out*")) and not list(emulator.data.parent.glob("out*"))
    assert (emulator.data / "s3" / "odd" / "a").read_bytes() == b"at a"


@pytest.mark.long
def test_on_a_full_disk_objects_are_refused_and_deleted_and_jobs_fail_one_by_one(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=32m tmpfs "$0" && exec "$@"', str(small))
    if subprocess.run([*mounted, "true"], capture_output=True, check=False).returncode:
        pytest.skip("an ordinary user cannot mount a file system on this machine")
    running = emulate(small / "data", "--hold", "20", "--programs", str(PROGRAMS), before=mounted)
    once = Config(retries={"total_max_attempts": 1})
    s3 = boto3.client("s3", endpoint_url=running.url, config=once)
    sagemaker = running.client("sagemaker")
    try:
        s3.create_bucket(Bucket="photos")
        keys: list[str] = []
        with pytest.raises(ClientError, match=r"InternalError.*No space left on device"):
            while len(keys) < 8:
                s3.put_object(Bucket="photos", Key=str(len(keys)), Body=b"x" * (4 << 20))
                keys.append(str(len(keys)))
        for name, do, status in (("fills", "fill", "Failed"), ("next", "none", "Completed")):
            request = training_request(name, HyperParameters={"do": do}, InputDataConfig=None)
            sagemaker.create_training_job(**request)
            assert ended(sagemaker, name)["TrainingJobStatus"] == status
            s3.delete_object(Bucket="photos", Key=keys.pop())
        s3.put_object(Bucket="photos", Key="again", Body=b"x" * (4 << 20))
    finally:
        assert running.end() == 130


def test_a_fault_lets_s3_answer_late_or_fail(emulator: Emulator, s3: Any) -> None:
    order(emulator, kind="s3-slow", target="odd", seconds=0.5)
    began = time.monotonic()
    assert read(s3, Bucket="odd", Key="a") == b"at a"
    assert time.monotonic() - began >= 0.5
    once = boto3.client("s3", endpoint_url=emulator.url, config=Config(retries={"total_max_attempts": 1}))
    order(emulator, kind="s3-error", target="odd")
    with pytest.raises(ClientError, match="SlowDown"):
        once.get_object(Bucket="odd", Key="a")
    assert read(s3, Bucket="odd", Key="a") == b"at a"


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects"])
def test_listings_have_every_key_once_in_pages_of_any_size(s3: Any, operation: str) -> None:
    assert listed(s3, operation, Bucket="odd") == KEYS
    assert listed(s3, operation, Bucket="odd", Prefix="a") == ["a", "a/b"]
    assert listed(s3, operation, Bucket="odd", Delimiter="/") == ["../", "a", "a/", "c/", "folder/", "ü ö+&<.jpg"]
    assert listed(s3, operation, Bucket="odd", Delimiter="/", Prefix="c/") == ["c//"]


def test_a_part_of_an_object_can_be_read(s3: Any) -> None:
    answer = s3.get_object(Bucket="odd", Key="a/b", Range="bytes=3-3")
    assert (answer["Body"].read(), answer["ContentRange"]) == (b"a", "bytes 3-3/6")


def test_a_large_object_goes_and_comes_in_parts(s3: Any) -> None:
    content = os.urandom(20 << 20)
    s3.upload_fileobj(io.BytesIO(content), "odd", "big/file", Config=TransferConfig(multipart_chunksize=8 << 20))
    assert s3.head_object(Bucket="odd", Key="big/file")["ETag"].endswith('-3"')
    s3.copy({"Bucket": "odd", "Key": "big/file"}, "odd", "big/copy")
    assert read(s3, Bucket="odd", Key="big/copy") == content
    s3.delete_objects(Bucket="odd", Delete={"Objects": [{"Key": "big/file"}, {"Key": "big/copy"}]})
    assert listed(s3, "list_objects_v2", Bucket="odd", Prefix="big") == []


def test_a_body_that_arrives_changed_is_refused(s3: Any) -> None:
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="odd", Key="bad", Body=b"content", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    assert caught.value.response["Error"]["Code"] == "BadDigest"
    for name, size in (("CRC32", 4), ("SHA1", 20), ("SHA256", 32)):
        with pytest.raises(ClientError, match="BadDigest"):
            s3.put_object(
                Bucket="odd", Key="bad", Body=b"content", **{f"Checksum{name}": b64encode(bytes(size)).decode()}
            )
    assert listed(s3, "list_objects_v2", Bucket="odd", Prefix="bad") == []


def test_missing_keys_and_buckets_are_errors_of_s3(s3: Any) -> None:
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="odd", Key="none")
    for call in (s3.list_objects_v2, lambda Bucket: s3.put_object(Bucket=Bucket, Key="k", Body=b"x")):
        with pytest.raises(s3.exceptions.NoSuchBucket):
            call(Bucket="nowhere")


def test_a_bucket_that_keeps_versions_has_each_of_them(s3: Any) -> None:
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"second"):
        s3.put_object(Bucket="versions", Key="key", Body=body)
    s3.delete_object(Bucket="versions", Key="key")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="versions", Key="key")
    versions = s3.list_object_versions(Bucket="versions")["Versions"]
    bodies = {read(s3, Bucket="versions", Key="key", VersionId=version["VersionId"]) for version in versions}
    assert bodies == {b"first", b"second"}


def test_the_versioning_of_a_bucket_cannot_be_suspended(s3: Any) -> None:
    s3.create_bucket(Bucket="kept-versions")
    for status in ("Suspended", "Enabled"):
        s3.put_bucket_versioning(Bucket="kept-versions", VersioningConfiguration={"Status": status})
    with pytest.raises(ClientError, match="NotImplemented"):
        s3.put_bucket_versioning(Bucket="kept-versions", VersioningConfiguration={"Status": "Suspended"})
    assert s3.get_bucket_versioning(Bucket="kept-versions")["Status"] == "Enabled"


def test_a_copy_keeps_the_metadata_of_its_source_or_gets_its_own(s3: Any) -> None:
    s3.put_object(Bucket="odd", Key="from", Body=b"x", ContentType="image/jpeg", Metadata={"made": "here"})
    own = {"MetadataDirective": "REPLACE", "Metadata": {"made": "there"}, "ContentType": "image/png"}
    for key, more, expected in (
        ("copy", {}, ("image/jpeg", {"made": "here"})),
        ("other", own, ("image/png", {"made": "there"})),
        ("from", own, ("image/png", {"made": "there"})),
    ):
        s3.copy_object(Bucket="odd", Key=key, CopySource={"Bucket": "odd", "Key": "from"}, **more)
        found = s3.head_object(Bucket="odd", Key=key)
        assert (found["ContentType"], found["Metadata"]) == expected
    s3.delete_objects(Bucket="odd", Delete={"Objects": [{"Key": key} for key in ("from", "copy", "other")]})


def test_the_parts_of_an_upload_are_named_in_their_order(s3: Any) -> None:
    where = {"Bucket": "odd", "Key": "parts"}
    upload = s3.create_multipart_upload(**where, Metadata={"made": "here"})["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, b"a" * (5 << 20)), (2, b"b"))
    ]
    with pytest.raises(ClientError, match="InvalidPartOrder"):
        s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts[::-1]})
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    assert read(s3, **where) == b"a" * (5 << 20) + b"b"
    assert s3.head_object(**where)["Metadata"] == {"made": "here"}
    s3.delete_object(**where)


def test_presigned_addresses_work(s3: Any) -> None:
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "odd", "Key": "signed"})
    urllib.request.urlopen(urllib.request.Request(put, b"through a link", method="PUT"))
    got = s3.generate_presigned_url("get_object", Params={"Bucket": "odd", "Key": "signed"})
    assert urllib.request.urlopen(got).read() == b"through a link"
    s3.delete_object(Bucket="odd", Key="signed")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"


def test_objects_are_there_after_a_restart_even_after_a_kill(data: Path) -> None:
    first = emulate(data)
    s3 = first.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a/photo.jpg", Body=b"photo", ContentType="image/jpeg", Tagging="color=red")
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    second = emulate(data)
    try:
        answer = second.client("s3").get_object(Bucket="kept", Key="a/photo.jpg")
        assert (answer["Body"].read(), answer["ContentType"]) == (b"photo", "image/jpeg")
        tags = second.client("s3").get_object_tagging(Bucket="kept", Key="a/photo.jpg")["TagSet"]
        assert tags == [{"Key": "color", "Value": "red"}]
    finally:
        assert second.end() == 130


def test_a_plain_upload_keeps_what_s3_keeps_and_replaces_what_was_there(s3: Any) -> None:
    s3.create_bucket(Bucket="plain")
    s3.put_object(Bucket="plain", Key="a b/ü.jpg", Body=b"old", Tagging="color=red", Metadata={"made": "before"})
    put = s3.put_object(
        Bucket="plain", Key="a b/ü.jpg", Body=b"new", ContentType="image/jpeg", ChecksumAlgorithm="SHA256"
    )
    answer = s3.get_object(Bucket="plain", Key="a b/ü.jpg", ChecksumMode="ENABLED")
    assert (answer["Body"].read(), answer["ContentType"], answer["Metadata"]) == (b"new", "image/jpeg", {})
    assert answer["ETag"] == put["ETag"] and answer["ChecksumSHA256"] == put["ChecksumSHA256"]
    assert s3.get_object_tagging(Bucket="plain", Key="a b/ü.jpg")["TagSet"] == []
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.put_object(Bucket="no-such-bucket", Key="k", Body=b"x")


def test_a_bucket_with_rules_of_its_own_follows_them(s3: Any) -> None:
    s3.create_bucket(Bucket="ruled")
    s3.put_bucket_versioning(Bucket="ruled", VersioningConfiguration={"Status": "Enabled"})
    first, second = (s3.put_object(Bucket="ruled", Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    assert first != second and read(s3, Bucket="ruled", Key="k", VersionId=first) == b"1"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/x"}}
    s3.put_bucket_encryption(Bucket="ruled", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.put_object(Bucket="ruled", Key="k", Body=b"3")["ServerSideEncryption"] == "aws:kms"


def test_a_bucket_is_made_in_the_region_that_the_request_names(emulator: Emulator, s3: Any) -> None:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    there = boto3.client("s3", endpoint_url=emulator.url, region_name="eu-west-1", **keys)
    place = {"LocationConstraint": "eu-west-1"}
    there.create_bucket(Bucket="there", CreateBucketConfiguration=place)
    s3.create_bucket(Bucket="there-from-here", CreateBucketConfiguration=place)
    for bucket in ("there", "there-from-here"):
        assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "eu-west-1"


def test_what_describes_an_object_is_kept_and_a_new_object_has_nothing_of_the_one_before(s3: Any) -> None:
    where = {"Bucket": "odd", "Key": "described"}
    s3.put_object(**where, Body=b"one", Tagging="color=red", Metadata={"made": "here"})
    described = {"CacheControl": "no-store", "ContentDisposition": "inline", "ContentType": "image/jpeg"}
    s3.put_object(**where, Body=b"two", **described)
    head = s3.head_object(**where)
    assert {name: head[name] for name in described} == described
    assert head["Metadata"] == {} and s3.get_object_tagging(**where)["TagSet"] == []
    s3.put_object(**where, Body=b"three")
    assert s3.head_object(**where)["ContentType"] == "binary/octet-stream"
    assert read(s3, **where) == b"three"
    s3.delete_object(**where)
