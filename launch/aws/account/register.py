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
    """Return the role's ARN, and why the role could not be checked, or an empty text.

    Raises AwsError for a bucket that cannot be used and for a role that SageMaker may not take on.
    """
    settings = session.settings
    if not (settings.role and settings.bucket):
        raise ConfigError("byoc setup register needs a role and a bucket; pass --role and --bucket")
    buckets.check(session, settings.bucket)
    try:
        found = made.find_role(session)
    except AwsError as error:
        if settings.role.startswith("arn:") and error.code.startswith("AccessDenied"):
            return settings.role, "unverified: iam:GetRole is missing to know whether SageMaker may take the role on"
        raise
    if found is None:
        raise AwsError(f"the account has no role {settings.role}; correct --role, or let byoc setup create make one")
    if not found.trusted:
        raise AwsError(
            f"role {found.arn} is not SageMaker's to take on; its policy of trust must name sagemaker.amazonaws.com"
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
