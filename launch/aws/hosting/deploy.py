"""`byoc deploy`: makes an endpoint, or gives an existing endpoint another model.

At the end it sends a photo to the endpoint, to show that the endpoint answers.
"""

import json
import sys
import time
from argparse import Namespace
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from classifier.errors import ConfigError
from launch.aws import plan, settings
from launch.aws.errors import Detached, explained
from launch.aws.hosting import artifact, delete, scaling, update, wanted
from launch.aws.hosting.design import Deployment, design
from launch.aws.hosting.invocation import Target
from launch.aws.hosting.planned import changed, planned
from launch.aws.hosting.trial import Trial, ask
from launch.aws.jobs.ended import left_running
from launch.aws.requests import hosting as requests
from launch.aws.requests.hosting import VARIANT
from launch.aws.senders import Choice, sender
from launch.aws.session import Session
from launch.aws.specification import EndpointKind, Hosting


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """An endpoint after a deployment. `trial` is None if byoc did not wait for the endpoint, or if its model did not change."""

    endpoint: str
    kind: EndpointKind
    config: str
    models: tuple[str, ...]
    updated: bool
    until: datetime | None = None
    trial: Trial | None = None


def deploy(
    session: Session,
    deployment: Deployment,
    change: update.Change | None = None,
    *,
    choice: Choice = "auto",
    photo: Path | None = None,
    wait: bool = True,
) -> Deployed:
    """Carry out a deployment and return its result. `change` is the value that `planned.changed` returned for it.

    Raises AwsError if AWS refuses a request, if the endpoint does not come into service, or if the endpoint does not answer a photo.
    """
    if deployment.artifact:
        artifact.upload(session, deployment.artifact)
    name, hosting = deployment.endpoint, deployment.hosting
    if change and deployment.alarms:  # these alarms also guard the update, so they are made before it
        scaling.watch(session, name, VARIANT, deployment.alarms, deployment.tags)
    if hosting:
        _send(session, hosting, change, choice)
    with left_running(session, "endpoint", name):
        if not change and deployment.alarms:
            scaling.watch(session, name, VARIANT, deployment.alarms, deployment.tags)
        done = _deployed(deployment)
        if hosting and not wait:
            if change:
                update.tag(session, change.found.arn, dict(deployment.tags))
            return done
        if hosting:
            _follow(session, deployment, hosting, change)
        if deployment.before:
            update.tag(session, deployment.before.endpoint.arn, dict(deployment.tags))
        if deployment.scale:
            scaling.scale(session, name, VARIANT, deployment.scale, deployment.tags)
        if not hosting:
            return done
        return replace(done, trial=ask(session, target(session, hosting), photo))


def target(session: Session, hosting: Hosting) -> Target:
    """Return the target of the first prediction."""
    model = artifact.archives(session, hosting.model.data, most=1)[0] if hosting.model.multi else ""
    output = hosting.asynchronous.output if hosting.asynchronous else ""
    return Target(name=hosting.endpoint, model=model, output=output)


def command(options: Namespace) -> int:
    """`byoc deploy`."""
    session = Session(settings.load(options))
    if options.stay and options.life is None:
        raise ConfigError("--stay waits until --life is over; add --life HOURS")
    if options.stay and options.detach:
        raise ConfigError("--stay waits, and --detach does not; leave one of them out")
    if options.detach and (options.autoscale or options.scale_to_zero):
        raise ConfigError(
            "autoscaling is registered once the endpoint is in service; leave --detach out, or add --autoscale later: "
            f"byoc deploy --endpoint {options.endpoint} --autoscale {options.autoscale or '0:1'}"
        )
    if options.photo and not options.photo.is_file():
        raise ConfigError(f"--photo {options.photo} is not a file; name a photo")
    deployment = design(session, wanted.read(options))
    change = changed(session, deployment)
    if not plan.agreed(planned(session, deployment, change), options, session.settings.ask_above):
        return plan.outcome(options)
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        done = deploy(session, deployment, change, choice=options.sender, photo=options.photo, wait=not options.detach)
    print(json.dumps(asdict(done), indent=2, default=str) if options.json else _text(done))
    if options.stay and done.until:
        _stay(session, done.endpoint, done.until)
    return 0


def _send(session: Session, hosting: Hosting, change: update.Change | None, choice: Choice) -> None:
    """Create the endpoint. If the endpoint exists, create its new model and configuration, and start the update."""

    def create() -> None:
        if not change:
            sender(session, choice).send(hosting)
            return
        client = session.client("sagemaker")
        with explained(f"model {hosting.model.name}"):
            client.create_model(**requests.model(hosting.model))
        with explained(f"configuration {hosting.config}"):
            client.create_endpoint_config(**requests.endpoint_config(hosting))
        update.send(session, change)

    update.undone(session, hosting.endpoint, hosting.config, hosting.model.name, create)


def _follow(session: Session, deployment: Deployment, hosting: Hosting, change: update.Change | None) -> None:
    seconds = update.patience(hosting.start_seconds, hosting.download_seconds, deployment.bake)
    try:
        if change:
            update.until_updated(session, change, seconds)
        else:
            update.until_answering(session, hosting.endpoint, seconds)
    except Detached as stop:
        if scale := deployment.scale:
            again = f"byoc deploy --endpoint {hosting.endpoint} --autoscale {scale.low}:{scale.high}"
            raise Detached(
                f"{stop}\nits autoscaling is not registered; register it once the endpoint is in service: {again}",
                *stop.args,
            ) from None
        raise


def _deployed(deployment: Deployment) -> Deployed:
    hosting, before = deployment.hosting, deployment.before
    kind: EndpointKind = hosting.kind if hosting else before.kind if before else "real-time"
    config = hosting.config if hosting else before.endpoint.config if before else ""
    models = (hosting.model.name,) if hosting else before.models if before else ()
    return Deployed(
        endpoint=deployment.endpoint,
        kind=kind,
        config=config,
        models=models,
        updated=before is not None,
        until=deployment.until,
    )


def _text(done: Deployed) -> str:
    lines = []
    if done.trial:
        lines += [str(done.trial), f"the endpoint {done.endpoint} serves {', '.join(done.models)}"]
    else:
        lines.append(f"the endpoint {done.endpoint} has {done.config}")
    if done.until:
        lines.append(
            f"its life ends at {done.until:%Y-%m-%d %H:%M} UTC; AWS does not delete it then, but byoc delete --expired does"
        )
    lines += [
        f"send it a photo: byoc predict FILE --endpoint {done.endpoint}",
        f"delete it: byoc delete {done.endpoint}",
    ]
    return "\n".join(lines)


def _stay(session: Session, name: str, until: datetime) -> None:
    """Wait until an endpoint's life ends, and delete it."""
    print(
        f"waiting until {until:%Y-%m-%d %H:%M} UTC to delete it; Ctrl-C leaves it running", file=sys.stderr, flush=True
    )
    try:
        while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            time.sleep(min(left, 60.0))
    except KeyboardInterrupt as stop:
        text = f"the endpoint {name} keeps running in {session.region} and costs money until it is deleted: byoc delete {name}"
        raise Detached(text, *stop.args) from None
    delete.delete(session, delete.of_endpoint(session, name))
    print(f"the endpoint {name} is deleted", file=sys.stderr)
