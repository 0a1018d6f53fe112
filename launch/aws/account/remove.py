"""`byoc setup remove`: removes the bucket and the role that `byoc setup create` made, which it recognises by a tag.

It never removes a bucket that holds objects.
"""

import json
from argparse import Namespace
from dataclasses import asdict, dataclass
from typing import Any

from launch.aws import marks, toml_file
from launch.aws import settings as account_settings
from launch.aws.account import made
from launch.aws.account.create import FREE
from launch.aws.errors import AwsError, explained
from launch.aws.plan import Plan, agreed, outcome
from launch.aws.session import Session


@dataclass(frozen=True)
class Found:
    """The names of the bucket and the role to remove. A name is empty if it is not removed, and `kept` holds the reason."""

    bucket: str
    role: str
    kept: tuple[str, ...]


def find(session: Session) -> Found:
    """Return the bucket and the role that have the tag of `byoc setup create`."""
    kept: list[str] = []
    bucket, name = made.bucket_name(session), made.role_name(session.settings)
    if not made.has_bucket(session, bucket):
        kept.append(f"there is no bucket {bucket}")
        bucket = ""
    elif why := _why_kept(session, bucket):
        kept.append(f"bucket {bucket} stays: {why}")
        bucket = ""
    role = made.find_role(session)
    if role is None:
        kept.append(f"there is no role {name}")
    elif marks.SETUP not in role.tags:
        kept.append(f"role {name} stays: byoc setup create did not make it")
        role = None
    return Found(bucket, name if role else "", tuple(kept))


def remove(session: Session, found: Found) -> None:
    """Remove the bucket and the role, and delete their names from byoc.toml."""
    for operation, request in requests(found):
        service = "s3" if operation == "DeleteBucket" else "iam"
        what = f"bucket {found.bucket}" if service == "s3" else f"role {found.role}"
        try:
            with explained(what):
                made.send(session.client(service), operation, request)
        except AwsError as error:
            if operation == "DeleteRolePolicy" and error.code == "NoSuchEntity":
                continue
            if error.code == "DeleteConflict":
                text = (
                    f"role {found.role} stays: it has other policies or instance profiles; remove those from it first"
                )
                raise AwsError(text, error.code) from None
            raise
    if file := session.settings.file:
        gone = {"bucket": found.bucket, "role": found.role}
        toml_file.put(file, {name: "" for name, value in gone.items() if value})


def requests(found: Found) -> list[tuple[str, dict[str, Any]]]:
    """Return the operations that remove the bucket and the role, in order, with their requests."""
    of_role: list[tuple[str, dict[str, Any]]] = [
        ("DeleteRolePolicy", {"RoleName": found.role, "PolicyName": made.POLICY}),
        ("DeleteRole", {"RoleName": found.role}),
    ]
    of_bucket: list[tuple[str, dict[str, Any]]] = [("DeleteBucket", {"Bucket": found.bucket})]
    return [*(of_bucket if found.bucket else []), *(of_role if found.role else [])]


def command(options: Namespace) -> int:
    """`byoc setup remove`."""
    session = Session(account_settings.load(options))
    found = find(session)
    sent = requests(found)
    if sent and not agreed(_plan(session, found, sent), options, session.settings.ask_above):
        return outcome(options)
    if sent:
        remove(session, found)
    if options.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        gone = [f"removed bucket {found.bucket}"] if found.bucket else []
        gone += [f"removed role {found.role}"] if found.role else []
        print("\n".join([*gone, *found.kept]))
    return 0


def _why_kept(session: Session, bucket: str) -> str:
    """Return the reason why a bucket is not removed; empty if it may be removed."""
    if marks.SETUP not in made.bucket_tags(session, bucket):
        return "byoc setup create did not make it"
    with explained(f"bucket {bucket}"):
        answer = session.client("s3").list_object_versions(Bucket=bucket, MaxKeys=1)
    return "it holds objects; empty it first" if answer.get("Versions") or answer.get("DeleteMarkers") else ""


def _plan(session: Session, found: Found, sent: list[tuple[str, dict[str, Any]]]) -> Plan:
    return Plan(
        title="remove what byoc setup create made",
        lines=(
            ("account", f"{session.account}, {session.region}"),
            *((("bucket", found.bucket),) if found.bucket else ()),
            *((("role", found.role),) if found.role else ()),
            *(("stays", text) for text in found.kept),
        ),
        requests=tuple(sent),
        cost=FREE,
        warnings=("this cannot be undone",),
    )
