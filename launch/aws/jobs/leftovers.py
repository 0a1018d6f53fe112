"""`byoc jobs --leftovers`: lists what still costs money, and endpoints that have lost their configuration or a model.

AWS cannot patch or restart an endpoint whose configuration or model was deleted. Models and configurations cost nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from launch.aws import cost, prices
from launch.aws.hosting import endpoint
from launch.aws.hosting.endpoint import Configuration, Endpoint
from launch.aws.jobs.kinds import KINDS, Name, listed
from launch.aws.prices import Prices, Use
from launch.aws.session import Session

JOBS: tuple[Name, ...] = ("training", "tuning", "transform")


@dataclass(frozen=True)
class Leftover:
    """Something that costs money or is broken. `hour` is its cost an hour, or None if the cost is unknown."""

    kind: str
    name: str
    what: str
    end_it: str  # the command that ends the cost
    hour: float | None = None


def find(session: Session) -> list[Leftover]:
    """Return everything in the region that costs money or is broken; raises AwsError if AWS refuses a list."""
    price = prices.load(session.settings, session.region)
    found = [_of_endpoint(session, one, price) for one in endpoint.in_service(session)]
    found += [
        Leftover(
            kind="warm pool",
            name=job["TrainingJobName"],
            what="is kept for the next job that matches",
            end_it="ends by itself",
        )
        for job in listed(session, "training", WarmPoolStatusEquals="Available")
    ]
    for kind in JOBS:
        for job in listed(session, kind, StatusEquals="InProgress"):
            name = job[KINDS[kind].parameter]
            found.append(Leftover(kind=KINDS[kind].title, name=name, what="runs", end_it=f"byoc stop {name}"))
    return found


def hour(config: Configuration, counts: Mapping[str, int], price: Prices) -> float | None:
    """Return the cost of an endpoint's instances an hour; None if a type or its price is unknown.

    `counts` holds the present number of instances of each variant.
    """
    use: Use = "async" if config.answer.get("AsyncInferenceConfig") else "hosting"
    total = 0.0
    for variant in config.variants:
        if variant.get("ServerlessConfig"):
            continue
        hours = [price.hour(use, name) for name in endpoint.types(variant)]
        known = [one for one in hours if one is not None]
        if not known or len(known) < len(hours):
            return None
        total += counts.get(variant["VariantName"], 0) * max(known)
    return total


def _of_endpoint(session: Session, found: Endpoint, price: Prices) -> Leftover:
    """Return an endpoint with its cost an hour, and with the names of its deleted configuration or models."""
    config = endpoint.configuration(session, found.config)
    lost = [] if config else [f"the configuration {found.config}"]
    lost += [f"the model {name}" for name in (config.models if config else ()) if not endpoint.model(session, name)]
    what = found.status
    if lost:
        what += f"; {' and '.join(lost)} was deleted, so AWS can no longer repair the endpoint: deploy it again, or delete it"
    if found.until and found.until <= datetime.now(UTC):
        what += f"; its life ended at {found.until:%Y-%m-%d %H:%M} UTC"
    cost_of_it = hour(config, found.counts, price) if config else None
    return Leftover(kind="endpoint", name=found.name, what=what, end_it=f"byoc delete {found.name}", hour=cost_of_it)


def text(found: Sequence[Leftover], currency: str) -> str:
    """Return the findings as lines, with their total cost a month."""
    if not found:
        return "nothing costs money in this region"
    lines = []
    for item in found:
        price = "" if item.hour is None else f", {cost.money(item.hour, currency)} an hour"
        lines.append(f"{item.kind} {item.name}: {item.what}{price}; {item.end_it}")
    known = [item.hour for item in found if item.hour is not None and item.kind == "endpoint"]
    if known:
        lines.append(f"the endpoints with a price: {cost.money(sum(known) * cost.MONTH, currency)} a month")
    return "\n".join(lines)
