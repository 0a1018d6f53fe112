"""`byoc delete`: deletes an endpoint with everything that was made for it, or one configuration or model.

It never deletes anything that a live endpoint uses.
"""

import json
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from launch.aws import marks, plan, settings
from launch.aws.cost import Bound
from launch.aws.errors import AwsError, explained
from launch.aws.hosting import endpoint, scaling
from launch.aws.jobs import kinds
from launch.aws.jobs.follow import pause
from launch.aws.session import Session

SETTLING = 3600.0  # seconds to wait for an endpoint that is being created or updated
NOTHING = Bound(amount=0.0, why="deleting costs nothing, and ends the cost of the endpoint")


@dataclass(frozen=True, kw_only=True)
class Doomed:
    """The names of everything to delete, in the order of deletion. `kept` holds a sentence for each thing that stays."""

    scaled: tuple[scaling.Registered, ...] = ()
    alarms: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.scaled or self.alarms or self.endpoints or self.configs or self.models)

    def __add__(self, other: "Doomed") -> "Doomed":
        mine, its = vars(self), vars(other)
        return Doomed(**{name: (*mine[name], *(one for one in its[name] if one not in mine[name])) for name in mine})


@dataclass(frozen=True)
class Users:
    """The configurations and models in use. Each dictionary maps a name to a live endpoint that uses it."""

    configs: dict[str, str]
    models: dict[str, str]


def of_name(session: Session, name: str) -> Doomed:
    """Return the endpoint of this name with everything that was made for it. If no endpoint has the name, return the configuration or the
    model of this name.

    Raises AwsError if nothing has the name, or if a live endpoint uses the configuration or the model.
    """
    if found := of_endpoint(session, name):
        return found
    config, model = endpoint.configuration(session, name), endpoint.model(session, name)
    if not (config or model):
        raise AwsError(
            f"no endpoint, configuration or model is called {name} in {session.region}; byoc endpoints lists endpoints",
            "ResourceNotFound",
        )
    used = users(session, without=())
    for what, by in (("configuration", used.configs.get(name)), ("model", used.models.get(name))):
        if by:
            raise AwsError(
                f"the {what} {name} is used by the endpoint {by}, which AWS cannot patch or update without it; delete "
                f"the endpoint with everything that was made for it: byoc delete {by}"
            )
    return Doomed(configs=(name,) if config else (), models=(name,) if model else ())


def of_endpoint(session: Session, name: str) -> Doomed:
    """Return an endpoint with everything that was made for it. The endpoint itself may already be gone.

    The result is empty if the endpoint is gone and has left nothing.
    """
    found = endpoint.find(session, name)
    made = endpoint.made_for(session, name)
    if found and found.config not in [config.name for config in made]:
        own = endpoint.configuration(session, found.config)
        made += [own] if own else []
    models = dict.fromkeys(endpoint.models_made_for(session, name))
    models |= dict.fromkeys(model for config in made for model in config.models)
    doomed = Doomed(
        scaled=tuple(scaling.registered(session, name)),
        alarms=tuple(scaling.alarms(session, name)),
        endpoints=(name,) if found else (),
        configs=tuple(config.name for config in made),
        models=tuple(models),
    )
    return _spared(doomed, users(session, without=(name,))) if made or models else doomed


def of_run(session: Session, run: str) -> Doomed:
    """Return everything that a `byoc run` hosts; raises AwsError if it hosts nothing."""
    names = [found.name for found in endpoint.in_service(session) if found.tags.get(marks.RUN) == run]
    doomed = _together(session, names)
    if not doomed:
        raise AwsError(
            f"the run {run} hosts nothing in {session.region}; its jobs have ended, and cost nothing any more"
        )
    return doomed


def expired(session: Session, now: datetime | None = None) -> Doomed:
    """Return every endpoint whose life is over, with everything that was made for it."""
    now = now or datetime.now(UTC)
    over = [found.name for found in endpoint.in_service(session) if found.until and found.until <= now]
    return _together(session, over)


def users(session: Session, without: Iterable[str]) -> Users:
    """Return the configurations and models that the live endpoints use. The endpoints in `without` do not count."""
    configs: dict[str, str] = {}
    models: dict[str, str] = {}
    for name, config in _live(session):
        if name not in without:
            configs.setdefault(config, name)
            if found := endpoint.configuration(session, config):
                for model in found.models:
                    models.setdefault(model, name)
    return Users(configs, models)


def delete(session: Session, doomed: Doomed) -> Doomed:
    """Delete everything in `doomed`, wait until the endpoints are gone, and return `doomed`.

    It is not an error if a part is already deleted.
    """
    client = session.client("sagemaker")
    for found in doomed.scaled:
        scaling.unregister(session, found)
    scaling.delete_alarms(session, list(doomed.alarms))
    for name in doomed.endpoints:
        _delete_endpoint(session, name)
    for name in doomed.endpoints:
        _until_gone(session, name)
    for name in doomed.configs:
        endpoint.delete(f"configuration {name}", client.delete_endpoint_config, EndpointConfigName=name)
    for name in doomed.models:
        endpoint.delete(f"model {name}", client.delete_model, ModelName=name)
    return doomed


def command(options: Namespace) -> int:
    """`byoc delete`."""
    session = Session(settings.load(options))
    if options.expired:
        doomed, what = expired(session), "every endpoint whose life is over"
        if not doomed:
            print("[]" if options.json else f"no endpoint in {session.region} has reached the end of its life")
            return 0
    elif options.all_of_run:
        doomed, what = of_run(session, options.all_of_run), f"everything that the run {options.all_of_run} hosts"
    else:
        doomed, what = of_name(session, options.name), options.name
    if not plan.agreed(_plan(session, doomed, what), options, session.settings.ask_above):
        return plan.outcome(options)
    done = delete(session, doomed)
    if options.json:
        print(json.dumps(asdict(done), indent=2, default=str))
        return 0
    for line in _lines(done):
        print("deleted", *line)
    logs = " and ".join(f"/aws/sagemaker/Endpoints/{name}" for name in done.endpoints)
    print("artifacts and answers stay in S3" + (f", and the log stays in CloudWatch: {logs}" if logs else ""))
    return 0


def _together(session: Session, names: Iterable[str]) -> Doomed:
    return sum((of_endpoint(session, name) for name in names), Doomed())


def _spared(doomed: Doomed, used: Users) -> Doomed:
    """Return `doomed` without the configurations and models that other endpoints use. A sentence about each of these is in `kept`."""
    kept = [
        f"the {what} {name}: the endpoint {by[name]} uses it"
        for what, names, by in (
            ("configuration", doomed.configs, used.configs),
            ("model", doomed.models, used.models),
        )
        for name in names
        if name in by
    ]
    return replace(
        doomed,
        configs=tuple(name for name in doomed.configs if name not in used.configs),
        models=tuple(name for name in doomed.models if name not in used.models),
        kept=tuple(kept),
    )


def _live(session: Session) -> Iterator[tuple[str, str]]:
    """Yield the name of each endpoint that has not failed, with the name of its configuration.

    An endpoint that is being updated comes a second time, with the new configuration.
    """
    client = session.client("sagemaker")
    with explained("the list of endpoints"):
        entries = [
            entry
            for page in client.get_paginator("list_endpoints").paginate()
            for entry in page["Endpoints"]
            if entry["EndpointStatus"] != "Failed"
        ]
    for entry in entries:
        try:
            answer = kinds.describe(session, "endpoint", entry["EndpointName"])
        except AwsError as error:
            if kinds.is_missing(error):
                continue
            raise
        for config in (answer, answer.get("PendingDeploymentSummary", {})):
            if name := config.get("EndpointConfigName"):
                yield entry["EndpointName"], name


def _plan(session: Session, doomed: Doomed, what: str) -> plan.Plan:
    requests: list[tuple[str, dict[str, Any]]] = []
    for registered in doomed.scaled:
        policies = [policy["PolicyName"] for policy in registered.policies]
        requests += [("DeleteScalingPolicy", {**registered.members, "PolicyName": name}) for name in policies]
        requests.append(("DeregisterScalableTarget", registered.members))
    if doomed.alarms:
        requests.append(("DeleteAlarms", {"AlarmNames": list(doomed.alarms)}))
    requests += [("DeleteEndpoint", {"EndpointName": name}) for name in doomed.endpoints]
    requests += [("DeleteEndpointConfig", {"EndpointConfigName": name}) for name in doomed.configs]
    requests += [("DeleteModel", {"ModelName": name}) for name in doomed.models]
    lines = [*_lines(doomed), *(("stays", text) for text in doomed.kept)]
    warning = "this cannot be undone; artifacts and answers stay in S3"
    return plan.Plan(
        title=f"delete {what} in {session.region}",
        lines=tuple(lines),
        requests=tuple(requests),
        cost=NOTHING,
        warnings=(warning,),
    )


def _lines(doomed: Doomed) -> list[tuple[str, str]]:
    return [
        *(("autoscaling", f"{found.low} to {found.high} of {found.resource}") for found in doomed.scaled),
        *(("alarm", name) for name in doomed.alarms),
        *(("endpoint", name) for name in doomed.endpoints),
        *(("configuration", name) for name in doomed.configs),
        *(("model", name) for name in doomed.models),
    ]


def _delete_endpoint(session: Session, name: str) -> None:
    """Ask AWS to delete an endpoint. AWS refuses this while it creates or updates the endpoint, so this function waits and tries again."""
    given_up, said = time.monotonic() + SETTLING, False
    while True:
        try:
            endpoint.delete(f"endpoint {name}", session.client("sagemaker").delete_endpoint, EndpointName=name)
            return
        except AwsError as error:
            if "in-progress" not in str(error) or time.monotonic() > given_up:
                raise
        if not said:
            said = True
            print(
                f"the endpoint {name} is being created or updated, and can be deleted after that; waiting", flush=True
            )
        pause(session)


def _until_gone(session: Session, name: str) -> None:
    """Wait until an endpoint is gone, because its model and configuration may not be deleted earlier."""
    while found := endpoint.find(session, name):
        if found.status != "Deleting":
            raise AwsError(f"the endpoint {name} is {found.status} and was not deleted; try again: byoc delete {name}")
        pause(session)
