"""Answers simple PutObject requests, which uploads of many files send; moto's web framework would take twice as long. moto
answers requests with anything more, as tags, conditions or encryption, and every request to a bucket with its own rules.
"""

import uuid

from moto.s3.models import s3_backends
from moto.s3.utils import metadata_from_headers
from werkzeug.wrappers import Request, Response

from local_test.sagemaker.settings import ACCOUNT

# Headers of S3 that change only checksums, and headers that change nothing, as the client's name.
KNOWN = {
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-trailer",
}
CHECKSUM = "x-amz-checksum-"
CONDITIONS = ("If-Match", "If-None-Match", "Content-Encoding")


def put(request: Request, bucket: str, key: str) -> Response | None:
    """Make the object of a request whose body was written to a file (uploads.take), and return the answer; None if moto must answer."""
    named = {name.lower() for name, _ in request.headers}
    headers = {name for name in named if name.startswith("x-amz-") and not name.startswith(CHECKSUM)}
    if not headers <= KNOWN or any(name in request.headers for name in CONDITIONS):
        return None
    if "Authorization" not in request.headers or not set(request.args) <= {"x-id"}:
        return None
    if not key or key.endswith("/") or "//" in key or ".." in key:
        return None
    backend = s3_backends[ACCOUNT]["aws"]
    held = backend.buckets.get(bucket)
    if held is None or any(
        (
            held.policy,
            held.encryption,
            held.object_lock_enabled,
            held.notification_configuration,
            held.versioning_status,
        )
    ):
        return None
    algorithm = request.headers.get("x-amz-sdk-checksum-algorithm", "")
    value = request.headers.get(f"{CHECKSUM}{algorithm.lower()}") if algorithm else None
    made = backend.put_object(bucket, key, b"", storage="STANDARD", checksum_value=value)
    made.set_metadata(metadata_from_headers(dict(request.headers)))
    made.set_acl(held.acl)
    backend.put_object_tagging(made, {})
    answered = {name: str(text) for name, text in made.response_dict.items() if name != "content-length"}
    if algorithm and value:
        made.checksum_algorithm = algorithm
        answered |= {f"{CHECKSUM}{algorithm.lower()}": value, "x-amz-sdk-checksum-algorithm": algorithm}
    return Response(
        "", 200, {**answered, "x-amzn-RequestId": str(uuid.uuid4())}, content_type="text/html; charset=utf-8"
    )
