"""`byoc rollback`: gives an endpoint a configuration that it had before."""

import json
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

from classifier.errors import ConfigError
from launch.aws import check, cost, marks, plan, prices, settings
from launch.aws.errors import AwsError
from launch.aws.hosting import artifact, before, endpoint, scaling, update
from launch.aws.hosting.endpoint import Configuration, Endpoint, Made
from launch.aws.hosting.invocation import Target
from launch.aws.hosting.trial import Trial, ask
from launch.aws.jobs.ended import left_running
from launch.aws.requests import updating
from launch.aws.session import Session


@dataclass(frozen=True, kw_only=True)
class Return:
    """The configuration that an endpoint goes back to, its model, and the update of the endpoint."""

    config: Configuration
    model: Made
    change: update.Change


@dataclass(frozen=True, kw_only=True)
class RolledBack:
    """An endpoint after a rollback."""

    endpoint: str
    config: str
    before: str
    trial: Trial | None = None


def choose(session: Session, name: str, to: str = "") -> Return:
    """Return the configuration that an endpoint goes back to.

    It is `to` if given, else the configuration that served before, else the newest one that is older than the present one. Raises AwsError
    if there is no such configuration, or if its model was deleted.
    """
    found = endpoint.find(session, name)
    if found is None:
        raise AwsError(f"there is no endpoint {name} in {session.region}; byoc endpoints lists the endpoints")
    before.updatable(found)
    config = _named(session, found, to) if to else _earlier(session, found)
    models = [endpoint.model(session, model) for model in config.models]
    if not models or None in models:
        raise AwsError(f"a model of {config.name} was deleted, so it cannot serve again; deploy its artifact again")
    now = endpoint.configuration(session, found.config)
    moved = now is None or endpoint.types(now.variants[0]) != endpoint.types(config.variants[0])
    change = update.Change(
        found=found,
        # No alarm guards a rollback: an alarm that is on now would bring back the faulty configuration.
        request=updating.update(name, config.name),
        unregister=tuple(scaling.registered(session, name)) if moved else (),
    )
    return Return(config=config, model=models[0], change=change)  # type: ignore[arg-type]


def rollback(session: Session, way: Return, *, photo: Path | None = None, wait: bool = True) -> RolledBack:
    """Carry out a rollback; raises AwsError in the same cases as deploy."""
    name, config = way.change.found.name, way.config
    update.send(session, way.change)
    done = RolledBack(endpoint=name, config=config.name, before=way.change.found.config)
    if not wait:
        return done
    variant = config.variants[0]
    start = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 0)
    seconds = update.patience(start, variant.get("ModelDataDownloadTimeoutInSeconds", 0))
    with left_running(session, "endpoint", name):
        update.until_updated(session, way.change, seconds)
        model = artifact.archives(session, way.model.data, most=1)[0] if way.model.multi else ""
        trial = ask(session, Target(name=name, model=model, output=way.change.found.output), photo)
    return RolledBack(endpoint=name, config=config.name, before=done.before, trial=trial)


def command(options: Namespace) -> int:
    """`byoc rollback`."""
    session = Session(settings.load(options))
    way = choose(session, options.name, options.to or "")
    check.check("UpdateEndpoint", way.change.request)
    if not plan.agreed(_plan(session, way), options, session.settings.ask_above):
        return plan.outcome(options)
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        done = rollback(session, way, photo=options.photo, wait=not options.detach)
    if options.json:
        print(json.dumps(asdict(done), indent=2))
        return 0
    if done.trial:
        print(done.trial)
    print(f"the endpoint {done.endpoint} {'serves' if done.trial else 'goes back to'} {done.config}")
    print(f"undo it: byoc rollback {done.endpoint} --to {done.before}")
    return 0


def _named(session: Session, found: Endpoint, to: str) -> Configuration:
    if to == found.config:
        raise ConfigError(
            f"the endpoint {found.name} serves {to} already; byoc endpoints {found.name} --history lists others"
        )
    config = endpoint.configuration(session, to)
    if config is None:
        raise AwsError(
            f"there is no configuration {to}; byoc endpoints {found.name} --history lists the configurations"
        )
    return config


def _earlier(session: Session, found: Endpoint) -> Configuration:
    tagged = found.tags.get(marks.PREVIOUS, "")
    if tagged and tagged != found.config and (config := endpoint.configuration(session, tagged)):
        return config
    made = endpoint.made_for(session, found.name)
    now = next((config.created for config in made if config.name == found.config), None)
    for config in made:  # sorted, the newest first
        if config.name != found.config and (now is None or config.created < now):
            return config
    raise AwsError(
        f"the endpoint {found.name} has no earlier configuration that still exists; deploy an earlier model instead"
    )


def _plan(session: Session, way: Return) -> plan.Plan:
    found, variant = way.change.found, way.config.variants[0]
    known = prices.load(session.settings, session.region)
    count = max([*found.counts.values(), 1])
    types = endpoint.types(variant)
    if variant.get("ServerlessConfig"):
        bound = cost.Bound(amount=None, why="a serverless endpoint is billed by request", monthly=True)
    else:
        bound = cost.month(cost.hour(known, "async" if found.output else "hosting", types, count))
    lines = [
        ("endpoint", f"{found.name} in {session.region}"),
        ("serves now", found.config),
        ("goes back to", way.config.name),
        ("model", f"{way.model.name}, {way.model.package or way.model.data}"),
        ("instances", f"{count} x {', '.join(types)}" if types else "serverless"),
    ]
    return plan.Plan(
        title=f"roll the endpoint {found.name} back",
        lines=tuple(lines),
        requests=(("UpdateEndpoint", way.change.request),),
        cost=bound,
    )
