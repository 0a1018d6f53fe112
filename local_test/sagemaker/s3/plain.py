"""Answers simple PutObject requests, which uploads of many files send. moto would take four times as long.

moto answers requests with more than that, such as tags, conditions or encryption, and all requests to a bucket with rules.
"""

import uuid
from typing import Any

from moto.s3.models import FakeBucket, s3_backends
from werkzeug.wrappers import Request

from local_test.sagemaker.s3.objects import INCOMING, PLAIN, UNVERSIONED
from local_test.sagemaker.settings import ACCOUNT

# Headers of S3 that change only checksums, and headers that change nothing, such as the client's name.
KNOWN = {
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-trailer",
}
CHECKSUM = "x-amz-checksum-"
DESCRIBING = ("cache-control", "content-disposition", "content-language", "content-type", "expires")
CONDITIONS = {"if-match", "if-none-match", "content-encoding"}


def put(request: Request, bucket: str, key: str) -> dict[str, str] | None:
    """Make the object of a request whose body uploads.take has written to a file.

    Returns the headers of the answer, which has no body. Returns None if moto has to answer the request.
    """
    headers = {name.lower(): value for name, value in request.headers}
    held = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    if held is None or not _plain_request(request, headers, key) or not _plain_bucket(held):
        return None
    upload = INCOMING.take()
    if upload is None:
        return None
    algorithm = headers.get("x-amz-sdk-checksum-algorithm", "")
    value = headers.get(f"{CHECKSUM}{algorithm.lower()}") if algorithm else None
    row = held.keys.put(key, upload, _kept(headers, algorithm, value))
    s3_backends[ACCOUNT]["aws"].tagger.delete_all_tags_for_resource(f"arn:aws:s3:::{bucket}/{key}/{UNVERSIONED}")
    answered = {"ETag": f'"{row.etag}"', "x-amz-request-id": str(uuid.uuid4()), "Content-Length": "0"}
    if value:
        answered |= {f"{CHECKSUM}{algorithm.lower()}": value, "x-amz-sdk-checksum-algorithm": algorithm}
    return answered


def _plain_request(request: Request, headers: dict[str, str], key: str) -> bool:
    """Return whether a request puts an object with an ordinary name, and gives no more than its type and checksum."""
    special = {name for name in headers if name.startswith("x-amz-") and not name.startswith(CHECKSUM)} - KNOWN
    if special or CONDITIONS & headers.keys() or "authorization" not in headers or not set(request.args) <= {"x-id"}:
        return False
    return bool(key) and not key.endswith("/") and "//" not in key and ".." not in key


def _plain_bucket(held: FakeBucket) -> bool:
    """Return whether a bucket has no rule that affects a new object."""
    rules = (
        held.policy,
        held.encryption,
        held.object_lock_enabled,
        held.notification_configuration,
        held.versioning_status,
    )
    return not any(rules)


def _kept(headers: dict[str, str], algorithm: str, value: str | None) -> dict[str, Any]:
    """Return the values that the index keeps for a new object besides its bytes, by the names of moto's attributes."""
    metadata = PLAIN | {name: headers[name] for name in DESCRIBING if name in headers}
    more: dict[str, Any] = {} if metadata == PLAIN else {"metadata": metadata}
    if value:
        more |= {"checksum_algorithm": algorithm, "checksum_value": value}
    return more
