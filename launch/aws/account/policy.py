"""`byoc setup policy`: writes the smallest IAM policy with which the verbs work. This module also makes the policy of SageMaker's role."""

import json
import sys
from argparse import Namespace
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from classifier.errors import ConfigError
from launch.aws import settings as account_settings
from launch.aws.account.permissions import GET, PUT, VERBS, Permission
from launch.aws.identity import SERVICE
from launch.aws.settings import Settings
from launch.aws.words import meant

VERSION = "2012-10-17"  # the version of IAM's policy language
ANY = "*"


@dataclass(frozen=True)
class Place:
    """The names in the resources of a policy; a * replaces a name that is not known."""

    account: str = ANY
    region: str = ANY
    bucket: str = "byoc-*"
    prefix: str = "byoc"
    role: str = "byoc-sagemaker"

    @property
    def partition(self) -> str:
        return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(self.region.rsplit("-", 2)[0], "aws")


def place(settings: Settings) -> Place:
    """Return the names that the settings hold. The account comes from the role's ARN."""
    account = settings.role.split(":")[4] if settings.role.startswith("arn:") else ANY
    role = settings.role.partition(":role/")[2] or (f"*{settings.role}" if settings.role else "*byoc-sagemaker")
    return Place(
        account=account,
        region=settings.region or ANY,
        bucket=settings.bucket or "byoc-*",
        prefix=settings.prefix,
        role=role,
    )


def document(verbs: Collection[str], where: Place, key: str = "") -> dict[str, Any]:
    """Return the policy of these verbs, with one statement for each set of resources. `key` is the KMS key that encrypts uploads."""
    by_resource: dict[tuple[str, bool], set[str]] = {}
    for verb in verbs:
        for permission in VERBS[verb]:
            place = resource(permission, where), permission.action == "iam:PassRole"
            by_resource.setdefault(place, set()).add(permission.action)
    statements: dict[tuple[tuple[str, ...], bool], list[str]] = {}
    for (text, passed), actions in by_resource.items():
        statements.setdefault((tuple(sorted(actions)), passed), []).append(text)
    found = [
        _statement(list(actions), sorted(resources), passed=passed)
        for (actions, passed), resources in sorted(statements.items())
    ]
    if key and any(permission in (GET, PUT) for verb in verbs for permission in VERBS[verb]):
        found.append(_statement(["kms:Decrypt", "kms:GenerateDataKey"], [_key(key, where)]))
    return {"Version": VERSION, "Statement": found}


def resource(permission: Permission, where: Place) -> str:
    """Return a permission's resource as an ARN."""
    return permission.resource.format(**vars(where), partition=where.partition)


def execution(settings: Settings, where: Place) -> dict[str, Any]:
    """Return the policy of SageMaker's role. It allows the bucket, the two repositories, logs and metrics, and the VPC and the KMS keys if
    the settings name them.

    The actions are those that AWS's guide names for a role of CreateTrainingJob and CreateModel.
    """
    arn = f"arn:{where.partition}"
    logs = f"{arn}:logs:{where.region}:{where.account}:log-group:/aws/sagemaker/*"
    objects, bucket = f"{arn}:s3:::{where.bucket}/*", f"{arn}:s3:::{where.bucket}"
    repositories = f"{arn}:ecr:{ANY}:{where.account}:repository/byoc-classifier-*"
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    write = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    statements = [
        _statement(["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [objects]),
        _statement(["s3:ListBucket"], [bucket]),
        _statement(pull, [repositories]),
        _statement(["ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"], [ANY]),
        _statement(write, [logs]),
    ]
    if settings.subnets:
        statements.append(_statement(sorted(NETWORK), [ANY]))
    keys = [key for key in (settings.volume_key, settings.output_key) if key]
    if keys:
        actions = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
        statements.append(_statement(actions, sorted({_key(key, where) for key in keys})))
    return {"Version": VERSION, "Statement": statements}


def command(options: Namespace) -> int:
    """`byoc setup policy`."""
    for verb in options.verb:
        if verb not in VERBS:
            raise ConfigError(f"--verb {verb!r} needs no permission or does not exist{meant(verb, VERBS)}")
    settings = account_settings.load(options)
    where = place(settings)
    text = json.dumps(document(options.verb or VERBS, where, settings.output_key), indent=2)
    if options.out is None:
        print(text)
    else:
        try:
            with options.out.open("x") as file:
                file.write(text + "\n")
        except FileExistsError:
            raise ConfigError(f"--out {options.out} exists; name a new file") from None
        print(
            # Inline policies of a user may have 2,048 characters in all; a managed policy may have 6,144.
            f"wrote {options.out}; create a policy from it, and attach that to the user who runs byoc: aws iam "
            "create-policy --policy-name byoc "
            f"--policy-document file://{options.out}"
        )
    if where.bucket == Place.bucket:
        print(
            "byoc: note: no bucket is named, so the policy is for buckets whose names begin with byoc-", file=sys.stderr
        )
    return 0


NETWORK = {
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
}


def _key(key: str, where: Place) -> str:
    if key.startswith("arn:") and ":alias/" not in key:
        return key
    # These actions do not accept an alias as a resource, so the policy allows every key of the account.
    name = ANY if "alias/" in key else key
    return f"arn:{where.partition}:kms:{where.region}:{where.account}:key/{name}"


def _statement(actions: list[str], resources: list[str], *, passed: bool = False) -> dict[str, Any]:
    condition = {"Condition": {"StringEquals": {"iam:PassedToService": SERVICE}}} if passed else {}
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **condition}
