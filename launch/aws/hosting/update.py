"""Creates or updates an endpoint, and follows it until it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from classifier.errors import UserError
from launch.aws import marks
from launch.aws.errors import AwsError, Detached, explained
from launch.aws.hosting import endpoint, scaling
from launch.aws.hosting.endpoint import Endpoint
from launch.aws.jobs import follow, kinds, start
from launch.aws.session import Session

# START is SageMaker's limit for the first /ping (AWS's guide). DOWNLOAD is a guess for the artifact's download. Both are in seconds.
START, DOWNLOAD = 480, 600
INSTANCES = 900  # seconds allowed for instances to start and pull the image; this never takes less than two minutes


@dataclass(frozen=True, kw_only=True)
class Change:
    """An update of an endpoint: the request of UpdateEndpoint, and the autoscaling that must be removed for it."""

    found: Endpoint
    request: dict[str, Any]
    # The scaling to remove and to register again. It is empty if the instance type stays.
    unregister: tuple[scaling.Registered, ...] = ()


def patience(start_seconds: int, download_seconds: int, bake: int = 0) -> float:
    """Return how many seconds an endpoint may need until it answers."""
    return INSTANCES + (start_seconds or START) + (download_seconds or DOWNLOAD) + bake


def send(session: Session, change: Change) -> None:
    """Send an update. Before anything changes, a tag with the name of the present configuration is written."""
    client = session.client("sagemaker")
    tag(session, change.found.arn, {marks.PREVIOUS: change.found.config})
    try:
        for found in change.unregister:
            scaling.unregister(session, found)
        with explained(f"endpoint {change.found.name}"):
            client.update_endpoint(**change.request)
    except (UserError, KeyboardInterrupt) as stop:
        _scaled_again(session, change, stop)
        raise


def _scaled_again(session: Session, change: Change, stop: BaseException) -> None:
    """Register again the scaling that was removed for an update. If AWS refuses, raise Detached after Ctrl-C, and AwsError otherwise."""
    try:
        for found in change.unregister:
            scaling.register_again(session, found)
    except UserError as error:
        if isinstance(stop, KeyboardInterrupt):
            raise Detached(f"{error}; {_unscaled(change)}", *stop.args) from None
        raise


def _unscaled(change: Change) -> str:
    again = f"byoc deploy --endpoint {change.found.name} --autoscale MIN:MAX"
    return f"its autoscaling was removed for the update: {again}"


def until_updated(session: Session, change: Change, seconds: float) -> None:
    """Follow an update to its end, and register again the scaling that was removed for it.

    Raises AwsError if the update was rolled back.
    """
    name, wanted = change.found.name, change.request["EndpointConfigName"]
    try:
        now = endpoint.find(session, name)
        # Show the log since the update began. The start comes from AWS, whose clock may differ from this machine's.
        until_answering(session, name, seconds, since=now.changed.timestamp() if now else None)
    except Detached as stop:
        if change.unregister:
            stop.text += f"\n{_unscaled(change)}"
        raise
    found = endpoint.find(session, name)
    for registered in change.unregister:
        scaling.register_again(session, registered)
    if found and found.config != wanted:
        raise AwsError(
            f"the endpoint {name} was rolled back and serves {found.config} as before: {found.reason or 'AWS gives no reason'}; "
            f"byoc logs {name} says more"
        )


def until_answering(session: Session, name: str, seconds: float, since: float | None = None) -> None:
    """Follow an endpoint until it is in service. If it fails, raise AwsError with the reason and the last lines of its log."""
    ended = follow.follow(session, "endpoint", name, since=since, seconds=seconds)
    try:
        ended.check()
    except AwsError as error:
        raise AwsError(f"{error}\ndelete the endpoint: byoc delete {name}", error.code) from None


def tag(session: Session, arn: str, tags: dict[str, str]) -> None:
    """Add tags to a resource, or change those that exist."""
    with explained(f"the tags of {arn}"):
        session.client("sagemaker").add_tags(
            ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )


def undone(session: Session, name: str, config: str, model: str, create: Callable[[], None]) -> None:
    """Run `create`, which makes an endpoint, or the model and configuration of an update. If AWS refuses a request, delete the
    configuration and the model again.

    After Ctrl-C, raise Detached if the endpoint has or will have its new configuration, or if something that was made could not be deleted.
    Raise KeyboardInterrupt if nothing is left.
    """
    try:
        create()
    except KeyboardInterrupt as stop:
        start.interrupted(session, "endpoint", name, stop, lambda: _gets(session, name, config))
        if left := _forget(session, config, model):
            raise Detached(f"the endpoint {name} does not get the configuration {config}; {left}", *stop.args) from None
        raise
    except UserError as error:
        try:
            begun = _gets(session, name, config)
        except AwsError as missing:
            if not kinds.is_missing(missing):
                raise error from None
            begun = False
        if not begun:
            _forget(session, config, model)
        raise


def _gets(session: Session, name: str, config: str) -> bool:
    """Return whether an endpoint has a configuration, or is being created or updated with it.

    Raises AwsError if AWS does not describe the endpoint.
    """
    answer = kinds.describe(session, "endpoint", name)
    pending = answer.get("PendingDeploymentSummary") or {}
    return config in (answer.get("EndpointConfigName"), pending.get("EndpointConfigName"))


def _forget(session: Session, config: str, model: str) -> str:
    """Delete a configuration and a model that no endpoint uses.

    Return a sentence that names what could not be deleted, and how to delete it later.
    """
    client, left = session.client("sagemaker"), []
    for what, called, call, request in (
        ("configuration", config, client.delete_endpoint_config, {"EndpointConfigName": config}),
        ("model", model, client.delete_model, {"ModelName": model}),
    ):
        try:
            endpoint.delete(f"{what} {called}", call, **request)
        except (AwsError, KeyboardInterrupt):  # not raised, because only the first error or Ctrl-C is reported
            left.append(f"the {what} {called} may be left, which costs nothing; byoc delete {called} deletes it")
    return "; ".join(left)
