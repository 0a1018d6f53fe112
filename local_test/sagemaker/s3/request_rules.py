"""Refuses requests with names and parameters that S3 does not accept, before moto sees them, since moto would crash on some."""

import io
import re
from urllib.parse import unquote

from moto.s3.models import s3_backends
from werkzeug.wrappers import Request

from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.settings import ACCOUNT

# S3's user guide, bucket naming rules: no two periods in a row, no IP address, no prefix xn--.
BUCKET = re.compile(r"(?!xn--|.*\.\.|\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
LONGEST_KEY = 1024  # the most bytes of a key
LAST_PART = 10_000  # the largest part number (S3's limits of multipart uploads)


def check(request: Request, bucket: str, key: str) -> None:
    """Raise ApiError with S3's code for a request that S3 refuses."""
    if request.method == "PUT" and not key and not request.args and not BUCKET.fullmatch(bucket):
        raise ApiError("InvalidBucketName", "The specified bucket is not valid.")
    if len(key.encode("utf-8", "surrogateescape")) > LONGEST_KEY:
        raise ApiError("KeyTooLongError", "Your key is too long")
    if "\n" in key:
        raise ApiError(
            "NotImplemented",
            "a key with a line break is not emulated; docs/emulator.md lists what the emulator does",
            501,
        )
    if key and request.method in ("PUT", "POST") and "uploadId" in request.args:
        _check_upload(request, bucket)
    if request.method == "PUT" and "versioning" in request.args and b"Suspended" in _raw(request) and _versions(bucket):
        # If versioning is suspended, moto drops all versions of an object at its next upload.
        raise ApiError(
            "NotImplemented",
            "the end of a bucket's versioning is not emulated; docs/emulator.md lists what the emulator does",
            501,
        )
    source = request.headers.get("x-amz-copy-source")
    if source is not None and "/" not in unquote(source).lstrip("/"):
        raise ApiError("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")


def _check_upload(request: Request, bucket: str) -> None:
    """Refuse requests about an upload in parts that is unknown, for instance after a restart of the emulator."""
    number = request.args.get("partNumber", "1")
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= LAST_PART):
        raise ApiError("InvalidArgument", f"Part number must be an integer between 1 and {LAST_PART}, inclusive")
    held = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    if held is not None and request.args["uploadId"] not in held.multiparts:
        message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
        raise ApiError("NoSuchUpload", message, 404)


def _versions(bucket: str) -> bool:
    """Return whether a bucket keeps the versions of its objects."""
    held = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    return held is not None and held.versioning_status == "Enabled"


def _raw(request: Request) -> bytes:
    """Return a request's body, which stays readable for moto."""
    raw: bytes = request.get_data()
    request.environ["wsgi.input"] = io.BytesIO(raw)
    request.environ["CONTENT_LENGTH"] = str(len(raw))
    return raw
