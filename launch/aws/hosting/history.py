"""`byoc endpoints`: lists the endpoints, shows one endpoint, or shows the configurations and models that were made for an endpoint."""

import json
from argparse import Namespace
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from classifier.errors import ConfigError
from launch.aws import marks, settings
from launch.aws.errors import AwsError, explained
from launch.aws.hosting import endpoint, scaling
from launch.aws.hosting.endpoint import Configuration, Endpoint, Made
from launch.aws.session import Session

PAGE = 100  # the most endpoints in one answer of ListEndpoints
KNOWN = (
    "AWS keeps no history of an endpoint. This list shows the configurations that were made for it and still exist, and "
    "since when the present configuration serves"
)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An endpoint in a list."""

    name: str
    status: str
    created: datetime
    changed: datetime


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One configuration of an endpoint's history, with its models. A deleted model has no ARN."""

    config: str
    created: datetime
    models: tuple[Made, ...]
    serves: bool
    # Time of the endpoint's last change of any kind; None if the endpoint does not use this configuration now.
    since: datetime | None = None
    served_before: bool = False


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One endpoint with its configuration, models, autoscaling and alarms."""

    endpoint: Endpoint
    kind: str
    instances: tuple[str, ...]
    models: tuple[str, ...]
    lost: bool  # whether the endpoint's configuration was deleted
    scaled: tuple[scaling.Registered, ...]
    alarms: tuple[str, ...]


def listed(session: Session, most: int = PAGE) -> list[Listed]:
    """Return the newest endpoints, at most `most` of them."""
    client, found = session.client("sagemaker"), []
    with explained("the list of endpoints"):
        pages = client.get_paginator("list_endpoints").paginate(
            SortBy="CreationTime",
            SortOrder="Descending",
            PaginationConfig={"MaxItems": most, "PageSize": min(most, PAGE)},
        )
        for page in pages:
            found += [
                Listed(
                    name=entry["EndpointName"],
                    status=entry["EndpointStatus"],
                    created=entry["CreationTime"],
                    changed=entry["LastModifiedTime"],
                )
                for entry in page["Endpoints"]
            ]
    return found


def show(session: Session, name: str) -> Shown:
    """Return one endpoint. Raises AwsError if it does not exist."""
    found = _found(session, name)
    config = endpoint.configuration(session, found.config)
    made = endpoint.model(session, config.models[0]) if config and config.models else None
    return Shown(
        endpoint=found,
        kind=endpoint.kind(config, made) if config else "unknown",
        instances=tuple(_instances(config, found)) if config else (),
        models=config.models if config else (),
        lost=config is None,
        scaled=tuple(scaling.registered(session, name)),
        alarms=tuple(scaling.alarms(session, name)),
    )


def history(session: Session, name: str) -> list[Entry]:
    """Return the configurations that were made for an endpoint, the newest first.

    The configuration that serves is always included, even if byoc did not make it.
    """
    found = _found(session, name)
    configs = endpoint.made_for(session, name)
    if found.config not in [config.name for config in configs]:
        own = endpoint.configuration(session, found.config)
        configs = sorted([*configs, *([own] if own else [])], key=lambda config: config.created, reverse=True)
    return [_entry(session, config, found) for config in configs]


def command(options: Namespace) -> int:
    """`byoc endpoints`."""
    if options.history and not options.name:
        raise ConfigError("--history is of one endpoint; name it, as in byoc endpoints dogs --history")
    session = Session(settings.load(options))
    if not options.name:
        _print(listed(session, max(1, options.most)), options, _list_text)
    elif options.history:
        _print(history(session, options.name), options, lambda entries: _history_text(options.name, entries))
    else:
        _print(show(session, options.name), options, _text)
    return 0


def _found(session: Session, name: str) -> Endpoint:
    found = endpoint.find(session, name)
    if found is None:
        raise AwsError(
            f"there is no endpoint {name} in {session.region}; byoc endpoints lists the endpoints", "ResourceNotFound"
        )
    return found


def _entry(session: Session, config: Configuration, found: Endpoint) -> Entry:
    serves = config.name == found.config
    gone = [Made(name=name, arn="", created=config.created) for name in config.models]
    return Entry(
        config=config.name,
        created=config.created,
        models=tuple(endpoint.model(session, entry.name) or entry for entry in gone),
        serves=serves,
        since=found.changed if serves else None,
        served_before=config.name == found.tags.get(marks.PREVIOUS) and not serves,
    )


def _instances(config: Configuration, found: Endpoint) -> list[str]:
    lines = []
    for variant in config.variants:
        name = variant["VariantName"]
        if size := variant.get("ServerlessConfig"):
            lines.append(f"{name}: {size['MemorySizeInMB']} MB, {size['MaxConcurrency']} answers at a time")
            continue
        lines.append(f"{name}: {found.counts.get(name, 0)} x {', '.join(endpoint.types(variant))}")
    return lines


def _print(found: Any, options: Namespace, text: Any) -> None:
    if options.json:
        whole = [asdict(entry) for entry in found] if isinstance(found, list) else asdict(found)
        print(json.dumps(whole, indent=2, default=str))
    else:
        print(text(found))


def _list_text(found: list[Listed]) -> str:
    if not found:
        return "there are no endpoints"
    wide = max(len(entry.name) for entry in found)
    return "\n".join(
        f"{entry.name:<{wide}}  {entry.status:<14}  made {_time(entry.created)}  changed {_time(entry.changed)}"
        for entry in found
    )


def _text(shown: Shown) -> str:
    found = shown.endpoint
    lines = [f"{found.name}: {found.status}, {shown.kind}, made {_time(found.created)}, changed {_time(found.changed)}"]
    if found.reason:
        lines.append(f"  reason: {found.reason}")
    if shown.lost:
        lines.append(f"  its configuration {found.config} was deleted: AWS can neither patch nor update it")
    else:
        lines.append(f"  configuration {found.config}, models {', '.join(shown.models)}")
    lines += [f"  {text}" for text in shown.instances]
    lines += [f"  autoscaling {entry.low} to {entry.high}" for entry in shown.scaled]
    if shown.alarms:
        lines.append(f"  alarms {', '.join(shown.alarms)}")
    if found.until:
        lines.append(f"  its life ends at {_time(found.until)}; byoc delete --expired deletes it after that")
    return "\n".join(lines)


def _history_text(name: str, entries: list[Entry]) -> str:
    lines = [f"{name}: {KNOWN}"]
    for entry in entries:
        state = "made"
        if entry.serves:
            state = f"serves (the endpoint changed last at {_time(entry.since)}), made"
        elif entry.served_before:
            state = "served before, made"
        lines.append(f"{entry.config}  {state} {_time(entry.created)}")
        for model in entry.models:
            what = model.package or f"{model.data} in {model.image}"
            lines.append(
                f"  {model.name}: {what if model.arn else 'deleted, so this configuration cannot serve again'}"
            )
    return "\n".join(lines)


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else ""
