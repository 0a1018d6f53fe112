"""Access to a local SageMaker (`byoc emulate --run docker`): its clients, S3 and logs. Skips clauses that its API cannot express."""

import argparse
import ipaddress
import tarfile
import tempfile
import urllib.parse
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from local_test.contract.client import REPLY
from local_test.contract.conditions import PORT, Conditions

BUCKET = "contract"
ROLE = "arn:aws:iam::123456789012:role/contract"
INSTANCE = {"InstanceType": "ml.m5.large"}
LOOK = 0.2  # seconds between two checks of a job or an endpoint


class NoEmulator(Exception):
    """No server answers at the address."""


def loopback(text: str) -> str:
    """Return an emulator's address; raises ArgumentTypeError for one that is not on the loopback interface."""
    url = urllib.parse.urlsplit(text)
    try:
        usable = url.scheme == "http" and url.port and ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        usable = False
    if not usable:
        raise argparse.ArgumentTypeError(
            f"{text} is not an emulator's address; write for instance http://127.0.0.1:8000"
        )
    return text


def cannot_be_asked(what: str) -> NoReturn:
    """End a clause as not claimed, because SageMaker's API can neither request nor show `what`."""
    pytest.skip(f"the API can neither request nor show this: {what}")


def check(conditions: Conditions) -> None:
    """Skip the clause unless a request to the API can express the conditions."""
    if conditions.hosts_network:
        cannot_be_asked("a container that reaches the suite's own S3 server")
    if conditions.options:
        flags = [option for option in conditions.options if option.startswith("--")]
        cannot_be_asked(f"docker run's {', '.join(dict.fromkeys(flags))}")
    if conditions.command is not None:
        cannot_be_asked("a start without the argument `train`")
    if conditions.port != PORT:
        cannot_be_asked("another port, because the platform chooses the port")


class Api:
    """The clients of one emulator. They get the address and fake keys as arguments, so that no request goes elsewhere."""

    def __init__(self, url: str) -> None:
        self._url = loopback(url)
        self.sagemaker = self._client("sagemaker")
        self.runtime = self._client("sagemaker-runtime")
        self.s3 = self._client("s3")
        self._logs = self._client("logs")
        try:
            self.s3.create_bucket(Bucket=BUCKET)
        except EndpointConnectionError:
            raise NoEmulator(f"nothing answers at {url}; start it: byoc emulate --run docker") from None

    def _client(self, service: str) -> Any:
        # Use no proxy: a proxy from the environment would also get the requests for a loopback address.
        config = Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=REPLY, max_pool_connections=32)
        return boto3.client(
            service,
            endpoint_url=self._url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=config,
        )

    def put_folder(self, folder: Path, prefix: str) -> None:
        """Upload the files below a folder to S3."""
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    self.s3.put_object(Bucket=BUCKET, Key=f"{prefix}{path.relative_to(folder).as_posix()}", Body=file)

    def get_folder(self, prefix: str, folder: Path) -> None:
        """Download the objects below a prefix into a folder."""
        for key in self._keys(prefix):
            path = folder / key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def put_archive(self, folder: Path, key: str) -> str:
        """Put a folder into S3 as a .tar.gz and return its address."""
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
                tar.add(folder, ".")
            file.seek(0)
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=file)
        return address(key)

    def get_archive(self, key: str, folders: Sequence[Path]) -> None:
        """Unpack a .tar.gz from S3, if it exists. The files of several hosts are in one archive; if two have the same name, the
        first belongs to the first host.
        """
        try:
            body = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"]
        except self.s3.exceptions.NoSuchKey:
            return
        met = Counter[str]()
        with tarfile.open(fileobj=body, mode="r|gz") as tar:
            for member in tar:
                tar.extract(member, folders[min(met[member.name], len(folders) - 1)], filter="data")
                met[member.name] += 1

    def remove(self, prefix: str) -> None:
        """Remove the objects below a prefix."""
        for key in self._keys(prefix):
            self.s3.delete_object(Bucket=BUCKET, Key=key)

    def _keys(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def lines(self, group: str, streams: str = "") -> list[str]:
        """Return the lines of a group's log streams whose names begin with `streams`."""
        options = {"logStreamNamePrefix": streams} if streams else {}
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=group, **options)
        try:
            return [event["message"] for page in pages for event in page["events"]]
        except self._logs.exceptions.ResourceNotFoundException:
            return []  # nothing has been written yet


def name() -> str:
    """Return a name that no other job, model or endpoint has."""
    return f"contract-{uuid.uuid4().hex[:12]}"


def address(key: str) -> str:
    return f"s3://{BUCKET}/{key}"


def last(lines: Iterable[str]) -> str:
    """Return the last line that is not empty, cut to 200 characters, for a message."""
    return ([line.strip() for line in lines if line.strip()] or ["it printed nothing"])[-1][:200]


def gone(error: ClientError) -> bool:
    """Return whether an error says that something does not exist, or has already ended."""
    return bool(error.response["Error"]["Code"] == "ValidationException")
