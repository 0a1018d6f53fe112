"""The bucket and the role that `byoc setup` makes, checks and removes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launch.aws import buckets, marks
from launch.aws.account import policy
from launch.aws.errors import AwsError, explained
from launch.aws.identity import SERVICE, trusts
from launch.aws.session import Session
from launch.aws.settings import Settings

ROLE = "byoc-sagemaker"
POLICY = "byoc-sagemaker"  # name of the role's inline policy
HOME = "us-east-1"  # the region in which S3 accepts no LocationConstraint
CLOSED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@dataclass(frozen=True)
class Role:
    """A role in IAM; `trusted` says whether SageMaker can assume it."""

    arn: str
    trusted: bool
    tags: Mapping[str, str]


def bucket_name(session: Session) -> str:
    """Return the bucket that the settings name, or the default bucket for this account and region."""
    return session.settings.bucket or f"byoc-{session.account}-{session.region}"


def role_name(settings: Settings) -> str:
    """Return the name of the role that the settings name, or the default name."""
    return settings.role.rpartition("/")[2] or ROLE


def find_role(session: Session) -> Role | None:
    """Return the role, or None if it does not exist. Raises AwsError if AWS does not allow reading it."""
    name = role_name(session.settings)
    try:
        with explained(f"role {name}"):
            found = session.client("iam").get_role(RoleName=name)["Role"]
    except AwsError as error:
        if error.code == "NoSuchEntity":
            return None
        raise
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    return Role(found["Arn"], trusts(found["AssumeRolePolicyDocument"]), tags)


def has_bucket(session: Session, bucket: str) -> bool:
    """Return whether a bucket exists. Raises AwsError if it belongs to another account or region."""
    try:
        buckets.check(session, bucket)
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket"):
            return False
        raise
    return True


def bucket_requests(session: Session, bucket: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the operations of S3 that make a bucket without public access, and their requests."""
    create: dict[str, Any] = {"Bucket": bucket}
    if session.region != HOME:
        create["CreateBucketConfiguration"] = {"LocationConstraint": session.region}
    tags = {"TagSet": _tags(session.settings)}
    return [
        ("CreateBucket", create),
        ("PutPublicAccessBlock", {"Bucket": bucket, "PublicAccessBlockConfiguration": CLOSED}),
        ("PutBucketTagging", {"Bucket": bucket, "Tagging": tags}),
    ]


def role_requests(session: Session, bucket: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the operations of IAM that make a role only for SageMaker, and their requests."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}],
    }
    name = role_name(session.settings)
    create = {
        "RoleName": name,
        "AssumeRolePolicyDocument": json.dumps(trust),
        "Description": "SageMaker assumes this role for the jobs and endpoints of byoc",
        "Tags": _tags(session.settings),
    }
    document = policy.execution(session.settings, policy.Place(session.account, session.region, bucket))
    put = {"RoleName": name, "PolicyName": POLICY, "PolicyDocument": json.dumps(document)}
    return [("CreateRole", create), ("PutRolePolicy", put)]


def bucket_tags(session: Session, bucket: str) -> dict[str, str]:
    """Return a bucket's tags."""
    try:
        with explained(f"bucket {bucket}"):
            answer = session.client("s3").get_bucket_tagging(Bucket=bucket)
    except AwsError as error:
        if error.code == "NoSuchTagSet":
            return {}
        raise
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def send(client: Any, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry an operation out and return the answer."""
    method = next(name for name, api in client.meta.method_to_api_mapping.items() if api == operation)
    answer: dict[str, Any] = getattr(client, method)(**request)
    return answer


def _tags(settings: Settings) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in {**settings.tags, marks.SETUP: "made"}.items()]
