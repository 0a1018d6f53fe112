"""byoc data upload: which files go to S3, which are not sent twice, and which are refused."""

import dataclasses
import gc
import hashlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from classifier.errors import DataError
from launch.aws.account import files, policy
from launch.aws.account.sending import Sender
from launch.aws.account.threads import THREADS
from launch.aws.account.upload import upload
from launch.aws.errors import AwsError, explained
from launch.aws.hosting import artifact
from launch.aws.session import Session
from launch.aws.settings import Settings
from tests.aws.wire import answering
from tests.conftest import byoc
from tests.sagemaker.conftest import Emulator, order, take_back

# The odd names that a camera, a person or a system gives a file.
ODD = [
    "a b.jpg",
    "a+b.jpg",
    "100%.jpg",
    "é.jpg",
    "e\u0301.jpg",
    "猫 🐈.jpg",
    "a&b<c>.jpg",
    "a#b?c=d.jpg",
    "a'b\"c.jpg",
    "x\\y.jpg",
    "~.jpg",
]


@pytest.fixture(scope="module")
def s3(emulator: Emulator) -> Any:
    return emulator.client("s3")


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name: str = "b-" + request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower()[-50:].strip("-")
    s3.create_bucket(Bucket=name)
    return name


def keys(s3: Any, bucket: str) -> dict[str, int]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


def lay_out(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"photo {number} {name}".encode(errors="surrogateescape"))
    return folder


def test_files_keep_their_bytes_and_their_odd_names(session: Session, s3: Any, bucket: str, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "photos", [f"train/cats & dogs/{name}" for name in ODD])
    done = upload(session, folder, f"s3://{bucket}/data")
    assert (done.files, done.sent, done.extra) == (len(ODD), len(ODD), ())
    for path in (folder / "train/cats & dogs").iterdir():
        key = f"data/train/cats & dogs/{path.name}"
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == path.read_bytes()


def test_a_second_upload_sends_only_what_changed(session: Session, s3: Any, bucket: str, tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [f"train/a/{number}.jpg" for number in range(20)])
    assert upload(session, folder, f"s3://{bucket}/data").sent == 20
    assert upload(session, folder, f"s3://{bucket}/data/").sent == 0
    changed = folder / "train/a/3.jpg"
    changed.write_bytes(changed.read_bytes()[::-1])  # the size stays the same
    (folder / "train/a/new.jpg").write_bytes(b"new")
    assert upload(session, folder, f"s3://{bucket}/data").sent == 2
    assert s3.get_object(Bucket=bucket, Key="data/train/a/3.jpg")["Body"].read() == changed.read_bytes()


def test_a_file_in_parts_is_recognised_too(
    session: Session, s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = 5 * 1024**2  # the smallest part that S3 accepts
    for module in (files, sys.modules[upload.__module__]):
        monkeypatch.setattr(module, "PART", part)
    (tmp_path / "train.rec").write_bytes(os.urandom(1000) * 12_000)
    assert upload(session, tmp_path, f"s3://{bucket}/data").sent == 1
    assert s3.head_object(Bucket=bucket, Key="data/train.rec")["ETag"].endswith('-3"')
    assert upload(session, tmp_path, f"s3://{bucket}/data").sent == 0


def test_if_the_etag_does_not_decide_the_sha256_does(session: Session, s3: Any, bucket: str, tmp_path: Path) -> None:
    # A bucket with a KMS key answers an ETag that is not the bytes' MD5.
    lay_out(tmp_path, ["train/a/1.jpg"])
    data = (tmp_path / "train/a/1.jpg").read_bytes()
    key, sha256 = "data/train/a/1.jpg", files.sums(data).sha256
    s3.put_object(Bucket=bucket, Key=key, Body=data, ChecksumAlgorithm="SHA256", ChecksumSHA256=sha256)

    def other_etag(parsed: dict[str, Any], **_: Any) -> None:
        for entry in parsed.get("Contents", []):
            entry["ETag"] = '"00000000000000000000000000000000"'

    session.client("s3").meta.events.register("after-call.s3.ListObjectsV2", other_etag)
    assert upload(session, tmp_path, f"s3://{bucket}/data").sent == 0
    s3.put_object(Bucket=bucket, Key=key, Body=data[::-1], ChecksumAlgorithm="SHA256")
    assert upload(session, tmp_path, f"s3://{bucket}/data").sent == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\\udce9.jpg has a name that is not valid UTF-8; rename it"),
        ("a\nb.jpg", r"a\\nb.jpg has control characters in its name; rename it"),
        (f"{'d' * 250}/" * 4 + "e" * 30, "has a name of 1042 bytes; S3 accepts at most 1024; rename it"),
    ],
    ids=["latin", "newline", "long"],
)
def test_a_name_that_s3_cannot_hold_is_refused_by_name(name: str, why: str, tmp_path: Path) -> None:
    lay_out(tmp_path, [f"train/a/{name}"])
    with pytest.raises(DataError, match=why):
        files.files_in(tmp_path)


def test_hidden_files_and_a_circle_of_links_are_left_out(tmp_path: Path) -> None:
    lay_out(tmp_path, ["train/a/1.jpg", ".DS_Store", "train/Thumbs.db", ".git/config"])
    (tmp_path / "train" / "again").symlink_to(tmp_path)
    (tmp_path / "train" / "b").symlink_to(tmp_path / "train" / "a")
    assert [file.key for file in files.files_in(tmp_path)] == ["train/a/1.jpg", "train/b/1.jpg"]


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no files"):
        files.files_in(tmp_path)


def test_what_is_not_a_folder_is_refused_before_the_account_is_asked_for(tmp_path: Path) -> None:
    done = byoc("data", "upload", str(tmp_path / "absent"))
    assert done.returncode == 1
    assert "absent is not a folder; name a folder that holds train/" in done.stderr


def test_the_command_checks_uploads_and_names_other_objects_in_s3(
    account: Path, s3: Any, bucket: str, tiny: Path
) -> None:
    where = ["--region", "us-east-1", "--bucket", bucket]
    done = byoc("data", "upload", tiny, *where, "--json")
    assert done.returncode == 0, done.stderr
    assert "training can start" in done.stderr
    told = json.loads(done.stdout)
    assert told["uri"] == f"s3://{bucket}/byoc/data/{tiny.name}/"
    assert told["sent"] == told["files"] == len(keys(s3, bucket))

    s3.put_object(Bucket=bucket, Key=f"byoc/data/{tiny.name}/train/old.jpg", Body=b"old")
    done = byoc("data", "upload", tiny, *where)
    assert "0 sent" in done.stdout and "note: 1 objects in S3 are not in the folder" in done.stdout
    assert "training can start" not in done.stdout  # files that are already in S3 were checked before
    assert len(keys(s3, bucket)) == told["files"] + 1

    done = byoc("data", "upload", tiny, *where, "--delete", stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "pass --yes" in done.stderr and len(keys(s3, bucket)) == told["files"] + 1
    done = byoc("data", "upload", tiny, *where, "--delete", "--yes")
    assert done.returncode == 0 and "1 objects deleted" in done.stdout and len(keys(s3, bucket)) == told["files"]


def test_what_is_uploaded_is_encrypted_with_the_key_of_the_settings(
    session: Session, s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (files, importlib.import_module("launch.aws.account.upload")):
        monkeypatch.setattr(module, "PART", 5 * 1024**2)
    key = "arn:aws:kms:us-east-1:123456789012:key/0a1b"
    encrypted = Session(dataclasses.replace(session.settings, bucket=bucket, output_key=key))
    photos = lay_out(tmp_path / "photos", ["train/a/1.jpg"])
    (photos / "train" / "a" / "large.jpg").write_bytes(bytes(6 * 1024**2))
    upload(encrypted, photos, f"s3://{bucket}/data/")
    lay_out(tmp_path / "model", ["model.json"])
    artifact.upload(encrypted, artifact.find(encrypted, str(tmp_path / "model")))
    found = [s3.head_object(Bucket=bucket, Key=name) for name in keys(s3, bucket)]
    assert [(one["ServerSideEncryption"], one["SSEKMSKeyId"]) for one in found] == [("aws:kms", key)] * 3
    assert upload(encrypted, photos, f"s3://{bucket}/data/").sent == 0
    assert policy.document(["train"], policy.Place(), key)["Statement"][-1]["Resource"] == [key]
    assert "kms" not in str(policy.document(["stop"], policy.Place(), key))


def test_photos_that_training_would_refuse_are_not_sent(account: Path, s3: Any, bucket: str, tmp_path: Path) -> None:
    lay_out(tmp_path / "bad", ["train/a/1.jpg", "train/b/1.jpg"])
    done = byoc("data", "upload", tmp_path / "bad", f"s3://{bucket}/x", "--region", "us-east-1")
    assert done.returncode == 1 and "nothing was sent" in done.stderr and "training would fail" in done.stderr
    assert not keys(s3, bucket)


def test_a_dry_run_sends_nothing(account: Path, s3: Any, bucket: str, samples: Path) -> None:
    done = byoc("data", "upload", samples, f"s3://{bucket}/x", "--region", "us-east-1", "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert plan["requests"][0]["operation"] == "PutObject" and not keys(s3, bucket)


@pytest.mark.parametrize("name", ODD)
def test_a_file_is_signed_as_botocore_signs_it(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, [name])
    file = files.File(name, tmp_path / name, (tmp_path / name).stat().st_size)
    with answering(200) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        session = Session(Settings(region="us-east-1"))
        Sender(session, "photos", "data/").send(file)
        session.client("s3").put_object(Bucket="photos", Key=f"data/{name}", Body=file.path.read_bytes())
    ours, theirs = wire.requests
    assert wire.paths[0] == wire.paths[1]
    assert (
        ours["X-Amz-Content-SHA256"]
        == theirs["X-Amz-Content-SHA256"]
        == hashlib.sha256(file.path.read_bytes()).hexdigest()
    )
    # Sign the received request again with botocore itself.
    signed = ours["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {key: value for key, value in ours.items() if key.lower() in signed}
    request = AWSRequest("PUT", wire.url + wire.paths[0], headers, file.path.read_bytes())
    request.context["timestamp"] = ours["X-Amz-Date"]
    auth = S3SigV4Auth(Credentials("local", "local"), "s3", "us-east-1")
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert ours["Authorization"].endswith(f"Signature={signature}")


def test_all_files_go_through_connections_that_send_at_once(
    session: Session, s3: Any, bucket: str, tmp_path: Path
) -> None:
    lay_out(tmp_path, [f"{number}.jpg" for number in range(5)])
    sender = Sender(session, bucket, "data/")
    server = urllib.parse.urlsplit(s3.meta.endpoint_url).port
    before = open_sockets(server)
    for file in files.files_in(tmp_path):
        sender.send(file)
    (kept,) = [one for one in open_sockets(server) if one not in before]
    assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def open_sockets(port: int | None) -> list[socket.socket]:
    """Return this process's connections to a port."""
    # isinstance reads an object's __class__, and some objects warn when it is read.
    found = [one for one in gc.get_objects() if issubclass(type(one), socket.socket) and one.fileno() != -1]
    return [one for one in found if peer(one) == port]


def peer(one: socket.socket) -> int | None:
    """Return the port at the other end of a socket; None if the socket is not connected."""
    try:
        return int(one.getpeername()[1])
    except (OSError, IndexError):
        return None


def test_a_file_that_is_refused_goes_through_the_client(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, ["1.jpg"])
    file = files.File("1.jpg", tmp_path / "1.jpg", 1)
    body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with answering(403, body) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        with pytest.raises(AwsError, match="you lack the permission s3:PutObject"), explained("x"):
            Sender(Session(Settings(region="us-east-1")), "photos", "").send(file)
    assert len(wire.requests) == 2


def test_a_bucket_of_another_region_is_refused(session: Session, tmp_path: Path) -> None:
    there = session.client("s3", "eu-west-1")
    there.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    lay_out(tmp_path, ["train/a/1.jpg"])
    with pytest.raises(AwsError, match="bucket far-away is in eu-west-1, and SageMaker works in us-east-1"):
        upload(session, tmp_path, "s3://far-away/data")


def test_a_bucket_that_is_not_there_is_named(session: Session, tmp_path: Path) -> None:
    lay_out(tmp_path, ["train/a/1.jpg"])
    with pytest.raises(AwsError, match="bucket nobodys: the bucket does not exist; correct --bucket"):
        upload(session, tmp_path, "s3://nobodys/data")


def test_ctrl_c_leaves_what_is_done_and_the_same_command_goes_on(
    session: Session, emulator: Emulator, s3: Any, bucket: str, tmp_path: Path
) -> None:
    folder = lay_out(tmp_path / "photos", [f"train/a/{number}.jpg" for number in range(300)])
    program = (
        "import sys; from argparse import Namespace; from launch import cli, check;"
        "check.survey = lambda data, config: {'fatal': []}; check.report = lambda findings: 'not checked';"
        "sys.exit(cli.main(['data', 'upload', *sys.argv[1:], '--region', 'us-east-1']))"
    )
    order(emulator, kind="s3-slow", target=bucket, times=10_000, seconds=1)  # all files then take twenty seconds
    process = subprocess.Popen(
        [sys.executable, "-c", program, folder, f"s3://{bucket}/x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while len(keys(s3, bucket)) < 20:
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
    finally:
        take_back(emulator)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "run the same command again" in said and "Traceback" not in said
    there = len(keys(s3, bucket))
    assert 20 <= there < 300
    done = upload(session, folder, f"s3://{bucket}/x")
    assert 300 - there - THREADS <= done.sent <= 300 - there  # files that were being sent have arrived since
    assert len(keys(s3, bucket)) == 300
