"""`byoc setup --check`: lists what the account has, what it lacks, and what could not be checked.

Each missing thing is shown with its remedy, and each unchecked thing with the permission that the check needs.
"""

import dataclasses
import importlib.util
import json
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from classifier.errors import UserError
from launch.aws import buckets, quotas
from launch.aws import settings as account_settings
from launch.aws.account import made
from launch.aws.errors import CREDENTIALS_STATUS, AwsError, CredentialsError
from launch.aws.images import Kind, image, stored
from launch.aws.session import Session
from launch.aws.settings import Settings

State = Literal["ok", "unverified", "failed"]
LATER = "unknown without a region and credentials"


@dataclass(frozen=True)
class Row:
    """One thing that SageMaker needs, and its state."""

    name: str
    state: State
    text: str


def check(settings: Settings) -> list[Row]:
    """Check the account without creating anything, and return a row for each thing.

    An error from AWS becomes a row's text and is not raised.
    """
    rows = [_file(settings)]
    try:
        session = Session(settings)
        rows.append(Row("region", "ok", session.region))
    except CredentialsError as error:
        return [*rows, Row("credentials", "failed", str(error)), *_local(settings)]
    except UserError as error:
        anywhere = Session(dataclasses.replace(settings, region=made.HOME))
        who = _row("credentials", lambda: f"account {anywhere.account}")
        return [*rows, Row("region", "failed", str(error)), who, *_local(settings)]
    who = _row("credentials", lambda: f"account {session.account}")
    rows.append(who)
    if who.state != "ok":
        return [*rows, *_local(settings)]
    rows.append(_row("bucket", lambda: _bucket(session)))
    rows.append(_role(session))
    rows += [_image(session, kind) for kind in ("train", "serve")]
    rows += _quotas(session)
    return [*rows, _sdk()]


def command(options: Namespace) -> int:
    """`byoc setup --check`: exits with status 1 if something failed, or 3 if the credentials failed."""
    rows = check(account_settings.load(options))
    if options.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        wide = max(len(row.name) for row in rows)
        print("\n".join(f"{row.name:<{wide}}  {row.state:<10}  {row.text}" for row in rows))
    failed = {row.name for row in rows if row.state == "failed"}
    return CREDENTIALS_STATUS if "credentials" in failed else int(bool(failed))


def _file(settings: Settings) -> Row:
    if settings.file:
        return Row("byoc.toml", "ok", str(settings.file))
    return Row("byoc.toml", "failed", "neither this folder nor a folder above it holds byoc.toml; byoc init writes it")


def _local(settings: Settings) -> list[Row]:
    """Return the rows that need no request to AWS."""
    rows = [
        Row("bucket", "unverified", f"{settings.bucket}: {LATER}")
        if settings.bucket
        else Row("bucket", "failed", "no bucket is named; byoc setup create makes one"),
        Row("role", "unverified", f"{settings.role}: {LATER}")
        if settings.role
        else Row("role", "failed", "no role is named; byoc setup create makes one"),
    ]
    for kind in ("train", "serve"):
        found = _row(f"{kind} image", lambda kind=kind: image(settings, kind))  # type: ignore[misc]
        rows.append(Row(found.name, "unverified", f"{found.text}: {LATER}") if found.state == "ok" else found)
    return [*rows, Row("quotas", "unverified", LATER), _sdk()]


def _row(name: str, look: Callable[[], str]) -> Row:
    try:
        return Row(name, "ok", look())
    except UserError as error:
        return Row(name, "failed", str(error))


def _bucket(session: Session) -> str:
    bucket = session.settings.bucket
    if not bucket:
        raise AwsError("no bucket is named; byoc setup create makes one")
    buckets.check(session, bucket)
    return f"{bucket} in {session.region}"


def _role(session: Session) -> Row:
    if not session.settings.role:
        return Row("role", "failed", "no role is named; byoc setup create makes one")
    try:
        role = made.find_role(session)
    except AwsError as error:
        if error.code.startswith("AccessDenied"):
            text = "without the permission iam:GetRole it is unknown whether SageMaker can assume this role"
            return Row("role", "unverified", f"{session.settings.role}: {text}")
        return Row("role", "failed", str(error))
    if role is None:
        text = f"the account has no role {session.settings.role}; correct role in byoc.toml, or let byoc setup create make one"
        return Row("role", "failed", text)
    if not role.trusted:
        return Row(
            "role",
            "failed",
            f"{role.arn} cannot be assumed by SageMaker; its trust policy must name sagemaker.amazonaws.com",
        )
    return Row("role", "ok", role.arn)


def _image(session: Session, kind: Kind) -> Row:
    name = f"{kind} image"
    try:
        uri = image(session.settings, kind)
        held = stored(session, uri)
    except UserError as error:
        return Row(name, "failed", str(error))
    if held is None:
        return Row(name, "unverified", f"{uri}: it is not in ECR, or the permission ecr:DescribeImages is missing")
    return Row(name, "ok", f"{uri}, {held.bytes / 1e9:.1f} GB")


def _quotas(session: Session) -> list[Row]:
    settings = session.settings
    read = [
        *quotas.read(session, "training", settings.train_types, 1),
        *quotas.read(session, "endpoint", settings.serve_types, 1),
        *quotas.read(session, "transform", settings.transform_types, 1),
    ]
    rows = []
    for quota in read:
        state: State = "unverified" if quota.value is None else "failed" if quota.short else "ok"
        rows.append(Row("quota", state, str(quota).replace("unverified, ", "")))
    return rows


def _sdk() -> Row:
    from launch.aws.senders import sdk

    if sdk.python() or importlib.util.find_spec("sagemaker"):
        return Row("SDK", "ok", "SageMaker's SDK sends the requests of train, tune, deploy and transform")
    return Row("SDK", "ok", "boto3 sends all requests; make sdk adds SageMaker's SDK")
