"""`byoc data upload`: sends a folder to S3 with many threads; files that S3 already holds are not sent again."""

import dataclasses
import json
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from classifier.errors import ConfigError, DataError
from launch import check
from launch.aws import buckets
from launch.aws import settings as account_settings
from launch.aws.account.files import PART, File, Sums, files_in, sums_of
from launch.aws.account.sending import Sender
from launch.aws.account.threads import each
from launch.aws.cost import Bound
from launch.aws.errors import AwsError, code_of, explained
from launch.aws.names import ILLEGAL
from launch.aws.plan import Plan, agreed, outcome
from launch.aws.session import Session
from train.config import Config

LISTED = 5
BATCH = 1000  # the most keys in one DeleteObjects; S3's limit


@dataclass(frozen=True)
class Uploaded:
    """The result of an upload. `extra` holds the keys that exist in S3 but not in the folder."""

    uri: str
    files: int
    sent: int
    bytes: int  # number of bytes that were sent
    extra: tuple[str, ...] = ()
    deleted: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Difference:
    """The files of a folder, the files that S3 lacks, and the keys that exist in S3 but not in the folder."""

    files: Sequence[File]
    missing: Sequence[File]
    extra: tuple[str, ...]


def upload(session: Session, root: Path, uri: str = "", *, delete: bool = False) -> Uploaded:
    """Send the files below `root` to S3, unless S3 already has them.

    Each key is `uri` and the file's path. Without `uri` the files go to the address where `byoc train --data` looks for them. Raises
    DataError for names that S3 cannot hold, and AwsError if S3 refuses. After Ctrl-C, files that were sent stay in S3.
    """
    bucket, prefix = _place(uri or default_uri(session.settings, root))
    buckets.check(session, bucket)
    return send(session, bucket, prefix, compare(session, root, bucket, prefix), delete=delete)


def compare(session: Session, root: Path, bucket: str, prefix: str) -> Difference:
    """Compare a folder with S3.

    S3 is listed once. A single object is looked up only if its ETag does not show whether the file has changed.
    """
    files = files_in(root)
    with explained(f"s3://{bucket}/{prefix}"):
        held = _listed(session, bucket, prefix)

        def differs(file: File) -> bool:
            size, etag = held.get(prefix + file.key, (-1, ""))
            if size != file.size:
                return True
            own = sums_of(file)
            return own.etag != etag and not _same_sha256(session, bucket, prefix + file.key, own)

        known = [file for file in files if prefix + file.key in held]
        same = {file for file, other in each("compare", differs, known) if not other}
    ours = {prefix + file.key for file in files}
    extra = tuple(sorted(key for key in held if key not in ours))
    return Difference(files, [file for file in files if file not in same], extra)


def send(session: Session, bucket: str, prefix: str, difference: Difference, *, delete: bool = False) -> Uploaded:
    """Send what is missing. If `delete` is true, delete the objects that the folder does not hold."""
    started = time.monotonic()
    uri, missing = f"s3://{bucket}/{prefix}", difference.missing
    client, encrypted = session.client("s3"), buckets.encryption(session.settings)
    small = [file for file in missing if file.size <= PART]
    sent = 0

    try:
        with explained(uri):
            for _ in each("upload", Sender(session, bucket, prefix).send, small):
                sent += 1
            for file in missing:
                if file.size > PART:  # sent in this thread, so that boto3 can delete the parts after an interrupt
                    _put_in_parts(client, bucket, prefix + file.key, file, encrypted)
                    sent += 1
            deleted = _delete(client, bucket, difference.extra) if delete else 0
    except KeyboardInterrupt:
        print(
            f"byoc: {sent:,} of {len(missing):,} files are at {uri}; run the same command again to send the rest",
            file=sys.stderr,
        )
        raise
    size = sum(file.size for file in missing)
    return Uploaded(
        uri=uri,
        files=len(difference.files),
        sent=len(missing),
        bytes=size,
        extra=difference.extra,
        deleted=deleted,
        seconds=time.monotonic() - started,
    )


def command(options: Namespace) -> int:
    """`byoc data upload`."""
    files_in(options.data)  # checks the folder and the names of the files before an account is needed
    settings = account_settings.load(options)
    uri = options.uri or default_uri(settings, options.data)
    bucket, prefix = _place(uri)
    session = Session(settings)
    buckets.check(session, bucket)
    difference = compare(session, options.data, bucket, prefix)
    if difference.missing:
        _check(options)
    planned = options.dry_run or (options.delete and difference.extra)
    if planned and not agreed(_plan(options, bucket, prefix, difference), options, settings.ask_above):
        return outcome(options)
    done = send(session, bucket, prefix, difference, delete=options.delete)
    print(json.dumps(dataclasses.asdict(done), indent=2) if options.json else report(done))
    return 0


def default_uri(settings: account_settings.Settings, folder: Path) -> str:
    """Return the default S3 address of a folder, which is also where `byoc train --data DIR` looks for it."""
    if not settings.bucket:
        raise ConfigError("no bucket is named; write bucket in byoc.toml, pass --bucket, or name s3://BUCKET/PREFIX/")
    name = ILLEGAL.sub("-", folder.resolve().name).strip("-") or "photos"
    return f"s3://{settings.bucket}/{settings.prefix}/data/{name}/"


def report(done: Uploaded) -> str:
    """Return the result as text."""
    same = done.files - done.sent
    lines = [f"{done.files:,} files at {done.uri}: {done.sent:,} sent, {same:,} were there"]
    if done.deleted:
        lines.append(f"{done.deleted:,} objects deleted that are not in the folder")
    elif done.extra:
        first = done.extra[0]
        lines.append(
            f"note: {len(done.extra):,} objects in S3 are not in the folder, first {first}; training reads them; "
            "--delete deletes them"
        )
    return "\n".join([*lines, f"train on it: byoc train --on sagemaker --data {done.uri}"])


def _place(uri: str) -> tuple[str, str]:
    """Return the bucket and the prefix; the prefix ends with / unless it is empty."""
    bucket, prefix = buckets.split(uri)
    return bucket, f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""


def _check(options: Namespace) -> None:
    """Raise DataError if training would fail on these photos. The message lists the faults."""
    findings = check.survey(options.data, Config())
    text = check.report(findings)
    if findings["fatal"]:
        raise DataError(f"nothing was sent\n{text}")
    print(text, file=sys.stderr if options.json or options.dry_run else sys.stdout, flush=True)


def _plan(options: Namespace, bucket: str, prefix: str, difference: Difference) -> Plan:
    size = sum(file.size for file in difference.missing)
    same = len(difference.files) - len(difference.missing)
    lines = [
        ("from", str(options.data)),
        ("to", f"s3://{bucket}/{prefix}"),
        ("files", f"{len(difference.files):,}: {len(difference.missing):,} to send, {same:,} are there"),
        ("bytes", f"{size / 1e6:,.1f} MB"),
    ]
    requests: list[tuple[str, dict[str, Any]]] = [
        ("PutObject", {"Bucket": bucket, "Key": prefix + file.key}) for file in difference.missing[:LISTED]
    ]
    warnings = []
    if options.delete and difference.extra:
        requests.append(("DeleteObjects", _keys(bucket, difference.extra)))
        warnings.append(f"{len(difference.extra):,} objects are deleted, first {difference.extra[0]}")
    if len(difference.missing) > LISTED:
        lines.append(("requests", f"the first {LISTED} of {len(difference.missing):,} PutObject are shown"))
    cost = Bound(amount=0.0, why="uploading; S3's storage and requests cost money each month")
    return Plan(
        title="upload of photos",
        lines=tuple(lines),
        requests=tuple(requests),
        cost=cost,
        warnings=tuple(warnings),
    )


def _listed(session: Session, bucket: str, prefix: str) -> dict[str, tuple[int, str]]:
    """Return the size and the ETag of each object below a prefix."""
    pages = session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        entry["Key"]: (entry["Size"], entry["ETag"].strip('"')) for page in pages for entry in page.get("Contents", [])
    }


def _same_sha256(session: Session, bucket: str, key: str, own: Sums) -> bool:
    try:
        answer = session.client("s3").head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        if code_of(error) in ("403", "404"):  # the object may not be read, or it is gone: send the file again
            return False
        raise
    return bool(answer.get("ChecksumSHA256") == own.sha256)


def _put_in_parts(client: Any, bucket: str, key: str, file: File, encrypted: Mapping[str, str]) -> None:
    from boto3.s3.transfer import TransferConfig

    client.upload_file(
        str(file.path),
        bucket,
        key,
        ExtraArgs={"ChecksumAlgorithm": "SHA256", **encrypted},
        Config=TransferConfig(multipart_threshold=PART + 1, multipart_chunksize=PART),
    )


def _delete(client: Any, bucket: str, keys: Sequence[str]) -> int:
    for start in range(0, len(keys), BATCH):
        answer = client.delete_objects(**_keys(bucket, keys[start : start + BATCH]))
        for problem in answer.get("Errors", []):
            raise AwsError(f"s3://{bucket}/{problem['Key']} was not deleted: {problem.get('Message', '')}")
    return len(keys)


def _keys(bucket: str, keys: Sequence[str]) -> dict[str, Any]:
    return {"Bucket": bucket, "Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}}
