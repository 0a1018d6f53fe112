"""`byoc setup register`: checks a role and a bucket that exist, and writes them into byoc.toml."""

import json
import sys
from argparse import Namespace
from dataclasses import asdict

from classifier.errors import ConfigError
from launch.aws import buckets
from launch.aws import settings as account_settings
from launch.aws.account import made
from launch.aws.account.create import Created, write
from launch.aws.errors import AwsError
from launch.aws.session import Session


def look(session: Session) -> tuple[str, str]:
    """Return the role's ARN, and the reason why the role could not be checked. The reason is empty if the role was checked.

    Raises AwsError for a bucket that cannot be used, and for a role that SageMaker cannot assume.
    """
    settings = session.settings
    if not (settings.role and settings.bucket):
        raise ConfigError("byoc setup register needs a role and a bucket; pass --role and --bucket")
    buckets.check(session, settings.bucket)
    try:
        found = made.find_role(session)
    except AwsError as error:
        if settings.role.startswith("arn:") and error.code.startswith("AccessDenied"):
            return settings.role, "unverified: whether SageMaker can assume the role is unknown without iam:GetRole"
        raise
    if found is None:
        raise AwsError(f"the account has no role {settings.role}; correct --role, or let byoc setup create make one")
    if not found.trusted:
        raise AwsError(
            f"role {found.arn} cannot be assumed by SageMaker; its trust policy must name sagemaker.amazonaws.com"
        )
    return found.arn, ""


def command(options: Namespace) -> int:
    """`byoc setup register`."""
    session = Session(account_settings.load(options))
    arn, unverified = look(session)
    if unverified:
        print(f"byoc: {unverified}", file=sys.stderr)
    file = "" if options.dry_run else str(write(session, arn, session.settings.bucket))
    done = Created(bucket=session.settings.bucket, role=arn, made=(), file=file)
    if options.json:
        print(json.dumps(asdict(done), indent=2))
    else:
        written = f"written to {file}" if file else "dry run: nothing was written"
        print(f"bucket {done.bucket}\nrole {done.role}\n{written}")
    return 0
