"""`byoc jobs --leftovers`: what still bills, and endpoints that have lost their configuration or a model.

AWS cannot patch or restart an endpoint whose configuration or model was deleted. Models and configurations cost nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from launch.aws import cost, marks, prices
from launch.aws.errors import AwsError, explained
from launch.aws.hosting.endpoint import tags_of
from launch.aws.jobs.kinds import KINDS, Name, describe, is_missing
from launch.aws.prices import Prices, Use
from launch.aws.session import Session

RUNNING: tuple[tuple[Name, str, str], ...] = (
    ("training", "list_training_jobs", "TrainingJobSummaries"),
    ("tuning", "list_hyper_parameter_tuning_jobs", "HyperParameterTuningJobSummaries"),
    ("transform", "list_transform_jobs", "TransformJobSummaries"),
)


@dataclass(frozen=True)
class Leftover:
    """Something that bills or is broken; `hour` is what an hour of it costs, None where that is not known."""

    kind: str
    name: str
    what: str
    end_it: str  # the command
    hour: float | None = None


def find(session: Session) -> list[Leftover]:
    """Return all of a region; raises AwsError where AWS refuses a list."""
    price = prices.load(session.settings, session.region)
    found = [endpoint(session, name, price) for name in _endpoints(session)]
    found += [
        Leftover("warm pool", job["TrainingJobName"], "is kept for the next job that matches", "ends by itself")
        for job in _listed(session, "list_training_jobs", "TrainingJobSummaries", WarmPoolStatusEquals="Available")
    ]
    for kind, operation, member in RUNNING:
        name = KINDS[kind].parameter
        found += [
            Leftover(KINDS[kind].title, job[name], "runs", f"byoc stop {job[name]}")
            for job in _listed(session, operation, member, StatusEquals="InProgress")
        ]
    return found


def endpoint(session: Session, name: str, price: Prices) -> Leftover:
    """Return an endpoint with what an hour of it costs and what it has lost."""
    answer = describe(session, "endpoint", name)
    config, lost = _config(session, answer["EndpointConfigName"])
    models = [variant["ModelName"] for variant in config.get("ProductionVariants", []) if variant.get("ModelName")]
    lost += [f"the model {model}" for model in models if _lost_model(session, model)]
    what = str(answer["EndpointStatus"])
    if lost:
        what += f"; {' and '.join(lost)} was deleted, and AWS can no longer repair it: deploy it anew, or delete it"
    until = marks.until(tags_of(session, answer["EndpointArn"]))
    if until and until <= datetime.now(UTC):
        what += f"; its life ended at {until:%Y-%m-%d %H:%M} UTC"
    return Leftover("endpoint", name, what, f"byoc delete {name}", _hour(answer, config, price))


def text(found: Sequence[Leftover], currency: str) -> str:
    """Return the findings as lines, with what they cost a month together."""
    if not found:
        return "nothing bills in this region"
    lines = []
    for item in found:
        price = "" if item.hour is None else f", {cost.money(item.hour, currency)} an hour"
        lines.append(f"{item.kind} {item.name}: {item.what}{price}; {item.end_it}")
    known = [item.hour for item in found if item.hour is not None and item.kind == "endpoint"]
    if known:
        lines.append(f"the endpoints with a price: {cost.money(sum(known) * cost.MONTH, currency)} a month")
    return "\n".join(lines)


def _endpoints(session: Session) -> Iterator[str]:
    for entry in _listed(session, "list_endpoints", "Endpoints"):
        yield entry["EndpointName"]


def _listed(session: Session, operation: str, member: str, **filters: str) -> Iterator[dict[str, Any]]:
    with explained("the list of what runs"):
        pages = session.client("sagemaker").get_paginator(operation)
        for page in pages.paginate(PaginationConfig={"PageSize": 100}, **filters):
            yield from page[member]


def _config(session: Session, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return an endpoint's configuration; an empty one, and what to say of it, where it was deleted."""
    try:
        with explained(f"endpoint configuration {name}"):
            return session.client("sagemaker").describe_endpoint_config(EndpointConfigName=name), []
    except AwsError as error:
        if is_missing(error):
            return {}, [f"the configuration {name}"]
        raise


def _lost_model(session: Session, name: str) -> bool:
    try:
        with explained(f"model {name}"):
            session.client("sagemaker").describe_model(ModelName=name)
    except AwsError as error:
        if is_missing(error):
            return True
        raise
    return False


def _hour(answer: Mapping[str, Any], config: Mapping[str, Any], price: Prices) -> float | None:
    """Return what the instances of a described endpoint cost an hour; None where a type or its price is not known."""
    use: Use = "async" if config.get("AsyncInferenceConfig") else "hosting"
    counts = {
        entry["VariantName"]: entry.get("CurrentInstanceCount", 0) for entry in answer.get("ProductionVariants", [])
    }
    total = 0.0
    for variant in config.get("ProductionVariants", []):
        kinds = [pool["InstanceType"] for pool in variant.get("InstancePools") or []] or [
            variant.get("InstanceType", "")
        ]
        if variant.get("ServerlessConfig"):
            continue
        hours = [price.hour(use, kind) for kind in kinds]
        if None in hours:
            return None
        total += counts.get(variant["VariantName"], 0) * max(hour for hour in hours if hour is not None)
    return total if config else None
