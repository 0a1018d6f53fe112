"""`byoc register` and `byoc approve`: versions of a model in the model registry."""

import json
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from classifier.errors import ConfigError
from launch.aws import check, images, plan, settings
from launch.aws.cost import Bound
from launch.aws.errors import AwsError, explained
from launch.aws.hosting import artifact
from launch.aws.hosting.endpoint import described
from launch.aws.requests import registry as requests
from launch.aws.session import Session
from launch.aws.specification import Version

FREE = Bound(amount=0.0, why="the model registry costs nothing")


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A version of a model in the registry. `status` is its approval status."""

    arn: str
    group: str
    status: str


def register(session: Session, version: Version, *, new_group: bool) -> Registered:
    """Add a version to a group; the version waits for approval. A group that does not exist is created."""
    client = session.client("sagemaker")
    with explained(f"model package group {version.group}"):
        if new_group:
            client.create_model_package_group(**requests.group(version.group, session.settings.tags))
        arn = client.create_model_package(**requests.version(version))["ModelPackageArn"]
    return Registered(arn=arn, group=version.group, status="PendingManualApproval")


def approve(session: Session, arn: str, *, approved: bool = True, why: str = "") -> Registered:
    """Approve or reject a version."""
    group, request = _group(arn), requests.approval(arn, approved=approved, why=why)
    check.check("UpdateModelPackage", request)
    with explained(f"model package {arn}"):
        session.client("sagemaker").update_model_package(**request)
    return Registered(arn=arn, group=group, status=request["ModelApprovalStatus"])


def approved(session: Session, arn: str) -> str:
    """Return a version's ARN. Raises AwsError if the version does not exist or is not approved."""
    with explained(f"model package {arn}"):
        status = session.client("sagemaker").describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"]
    if status != "Approved":
        raise AwsError(f"the model package {arn} is {status}; approve it first: byoc approve {arn}")
    return arn


def newest(session: Session, group: str) -> str:
    """Return the ARN of a group's newest approved version. Raises AwsError if the group has no approved version."""
    with explained(f"model package group {group}"):
        answer = session.client("sagemaker").list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=1,
        )
    found = answer["ModelPackageSummaryList"]
    if not found:
        raise AwsError(f"the group {group} has no approved version; approve one with byoc approve ARN")
    return str(found[0]["ModelPackageArn"])


def exists(session: Session, group: str) -> bool:
    """Return whether the registry has a group."""
    call = session.client("sagemaker").describe_model_package_group
    return described(f"model package group {group}", call, ModelPackageGroupName=group) is not None


def command(options: Namespace) -> int:
    """`byoc register` and `byoc approve`."""
    session = Session(settings.load(options))
    if options.registry == "approve":
        done = approve(session, options.package, approved=not options.reject, why=options.why)
        _tell(done, options, f"{done.arn} is {done.status}; deploy it: byoc deploy --package {done.arn}")
        return 0
    source = artifact.find(session, options.model)
    version = Version(
        group=options.group, image=images.image(session.settings, "serve"), data=source.uri, about=options.about
    )
    new = not exists(session, options.group)
    calls: list[tuple[str, dict[str, Any]]] = [("CreateModelPackage", requests.version(version))]
    if new:
        calls.insert(0, ("CreateModelPackageGroup", requests.group(version.group, session.settings.tags)))
    check.check_all(calls)
    lines = [("model", source.where), ("artifact", source.uri), ("image", version.image)]
    lines.append(("group", f"{version.group}{', which will be made' if new else ''}"))
    wanted = plan.Plan(
        title=f"register a version of {version.group}", lines=tuple(lines), requests=tuple(calls), cost=FREE
    )
    if not plan.agreed(wanted, options, session.settings.ask_above):
        return plan.outcome(options)
    artifact.upload(session, source)
    done = register(session, version, new_group=new)
    _tell(done, options, f"{done.arn} waits for approval: byoc approve {done.arn}")
    return 0


def _tell(done: Registered, options: Namespace, text: str) -> None:
    print(json.dumps(vars(done), indent=2) if options.json else text)


def _group(arn: str) -> str:
    parts = arn.rpartition("model-package/")[2].split("/")
    if len(parts) != 2:
        raise ConfigError(
            f"{arn} is not a version of a group; byoc register prints the ARN, as in ...:model-package/dogs/3"
        )
    return parts[0]
