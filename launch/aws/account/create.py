"""`byoc setup create`: makes the bucket and the role once the user agrees to the plan, and writes them into byoc.toml."""

import json
from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launch.aws import settings as account_settings
from launch.aws import toml_file
from launch.aws.account import made
from launch.aws.account.init import init
from launch.aws.cost import Bound
from launch.aws.errors import AwsError, explained
from launch.aws.plan import Plan, agreed, outcome
from launch.aws.session import Session

FREE = Bound(amount=0.0, why="objects in the bucket cost money; IAM costs nothing")
Request = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Needed:
    """The bucket and the role, and the requests that make the missing ones."""

    bucket: str
    role: str  # the role's name
    arn: str  # the role's ARN; empty if the role does not exist yet
    of_bucket: list[Request]  # the requests that make the bucket; empty if it exists
    of_role: list[Request]


@dataclass(frozen=True)
class Created:
    """The bucket and the role, which of them were made, and the byoc.toml that names them."""

    bucket: str
    role: str  # the role's whole ARN
    made: tuple[str, ...]
    file: str


def needed(session: Session) -> Needed:
    """Return the bucket and the role, with the requests that make what is missing.

    Raises AwsError for a bucket that belongs to others, and for a role that SageMaker cannot assume.
    """
    bucket, name = made.bucket_name(session), made.role_name(session.settings)
    of_bucket = [] if made.has_bucket(session, bucket) else made.bucket_requests(session, bucket)
    role = made.find_role(session)
    if role and not role.trusted:
        raise AwsError(
            f"role {name} cannot be assumed by SageMaker; name another with --role, or let its trust policy name "
            "sagemaker.amazonaws.com"
        )
    return Needed(
        bucket=bucket,
        role=name,
        arn=role.arn if role else "",
        of_bucket=of_bucket,
        of_role=[] if role else made.role_requests(session, bucket),
    )


def create(session: Session, wanted: Needed) -> Created:
    """Make the bucket and the role that are missing.

    If AWS refuses a request, everything that was made before it stays, and the same command can be run again to continue.
    """
    with explained(f"bucket {wanted.bucket}"):
        for operation, request in wanted.of_bucket:
            made.send(session.client("s3"), operation, request)
    with explained(f"role {wanted.role}"):
        answers = [made.send(session.client("iam"), operation, request) for operation, request in wanted.of_role]
    arn = wanted.arn or str(answers[0]["Role"]["Arn"])
    done = (*(["bucket"] if wanted.of_bucket else []), *(["role"] if wanted.of_role else []))
    return Created(bucket=wanted.bucket, role=arn, made=done, file=str(write(session, arn, wanted.bucket)))


def write(session: Session, role: str, bucket: str) -> Path:
    """Write the role and the bucket into byoc.toml, or into a new byoc.toml with the profile and the region."""
    file = session.settings.file
    if file:
        toml_file.put(file, {"role": role, "bucket": bucket})
        return file
    values = {"profile": session.settings.profile, "region": session.region, "role": role, "bucket": bucket}
    return init({name: value for name, value in values.items() if value}).file


def command(options: Namespace) -> int:
    """`byoc setup create`."""
    session = Session(account_settings.load(options))
    wanted = needed(session)
    requests = [*wanted.of_bucket, *wanted.of_role]
    if (requests or options.dry_run) and not agreed(
        _plan(session, wanted, requests), options, session.settings.ask_above
    ):
        return outcome(options)
    done = create(session, wanted)
    print(json.dumps(asdict(done), indent=2) if options.json else _text(done))
    return 0


def _plan(session: Session, wanted: Needed, requests: list[Request]) -> Plan:
    """Return the plan. The user is asked to agree to every request, because what it makes stays in the account."""
    return Plan(
        title="what SageMaker needs in your account",
        lines=(
            ("account", f"{session.account}, {session.region}"),
            ("bucket", f"{wanted.bucket}, {'made, closed to the public' if wanted.of_bucket else 'is there'}"),
            ("role", f"{wanted.role}, {'made, for SageMaker alone' if wanted.of_role else 'is there'}"),
            ("images", "./build_and_push.sh makes their two repositories in ECR"),
            ("byoc.toml", str(session.settings.file or "a new one in this folder")),
        ),
        requests=tuple(requests),
        cost=FREE,
        warnings=("the bucket and the role stay in your account until byoc setup remove removes them",)
        if requests
        else (),
    )


def _text(done: Created) -> str:
    said = f"made {' and '.join(done.made)}" if done.made else "both are there"
    new = "; after some seconds SageMaker can assume the new role" if "role" in done.made else ""
    return f"{said}{new}\nbucket {done.bucket}\nrole {done.role}\nwritten to {done.file}; byoc setup --check checks the rest"
