"""Reads S3 addresses, and checks buckets: whether a bucket exists, who owns it, and in which region it is."""

import re
from typing import Any

from classifier.errors import ConfigError
from launch.aws import refusals
from launch.aws.errors import AwsError, code_of, explained
from launch.aws.keys import BUCKET
from launch.aws.session import Session
from launch.aws.settings import Settings

ADDRESS = re.compile(rf"s3://({BUCKET})(?:/(.*))?", re.DOTALL)


def split(uri: str) -> tuple[str, str]:
    """Return the bucket and the key or prefix of an S3 address. Raises ConfigError for any other text."""
    found = ADDRESS.fullmatch(uri)
    if found is None:
        raise ConfigError(
            f"{uri!r} is not an address in S3; write s3://BUCKET/PREFIX; a bucket's name is 3 to 63 of a-z, 0-9, . and -"
        )
    return found[1], found[2] or ""


def named(settings: Settings) -> str:
    """Return the bucket that the settings name; raises ConfigError if they name none."""
    if not settings.bucket:
        raise ConfigError("no bucket is named; write bucket in byoc.toml, pass --bucket, or let `byoc setup` make one")
    return settings.bucket


def region(session: Session, bucket: str) -> str:
    """Return the region of a bucket. Raises AwsError if the bucket does not exist, or if this account may not use it."""
    from botocore.exceptions import ClientError

    with explained(f"bucket {bucket}"):
        try:
            answer: dict[str, Any] = session.client("s3").head_bucket(Bucket=bucket)
        except ClientError as error:
            raise _refused(error, bucket) from None
    return str(answer.get("BucketRegion") or _header(answer) or session.region)


def check(session: Session, bucket: str) -> None:
    """Raise AwsError if SageMaker cannot use the bucket. The bucket must exist in the session's region."""
    where = region(session, bucket)
    if where != session.region:
        raise AwsError(
            f"bucket {bucket} is in {where}, and SageMaker works in {session.region}; use a bucket in {session.region}, or pass "
            f"--region {where}",
            "PermanentRedirect",
        )


def encryption(settings: Settings) -> dict[str, str]:
    """Return the encryption members of PutObject and of an upload in parts. They name the KMS key `output` of byoc.toml."""
    if not settings.output_key:
        return {}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.output_key}


def _refused(error: Any, bucket: str) -> AwsError:
    """Return the error of a HEAD request. Its answer has no body; only its status and a header say what is wrong."""
    where = _header(error.response)
    place = f" in {where}" if where else ""
    if code_of(error) in ("403", "AccessDenied"):
        return AwsError(
            f"bucket {bucket}{place} exists, and you may not use it: it belongs to another account, or you lack the permission "
            "s3:ListBucket on it; use another bucket, or ask for that permission (`byoc setup policy` writes all "
            "permissions that byoc needs)",
            "AccessDenied",
        )
    if code_of(error) == "400":
        return AwsError(
            f"bucket {bucket}: S3 refuses the request; the credentials may have expired, or the bucket is in another region",
            "400",
        )
    return refusals.explain(error, f"bucket {bucket}")


def _header(answer: dict[str, Any]) -> str:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-bucket-region", ""))
