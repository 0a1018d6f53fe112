"""`byoc jobs`: lists jobs and endpoints on SageMaker, with their state, age and cost. Those that still cost money come first.

At most ten requests are sent by default, however many jobs an account has: four for the lists of the newest jobs and endpoints, and the
others for the costs of the first rows.
"""

import json
import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from classifier.errors import ConfigError
from launch.aws import cost, prices
from launch.aws import settings as account_settings
from launch.aws.errors import AwsError, explained
from launch.aws.hosting import endpoint
from launch.aws.jobs import leftovers
from launch.aws.jobs.kinds import KINDS, PAGE, Kind, Name, describe, is_missing
from launch.aws.prices import Prices
from launch.aws.session import Session

# The most important list is first, because the limit on requests may not allow all costs.
LISTS: tuple[Name, ...] = ("endpoint", "training", "tuning", "transform")
ENDED = ("Completed", "Failed", "Stopped", "Deleting", "OutOfService")


@dataclass(frozen=True)
class Row:
    """One job or endpoint. `cost` is its cost so far at the on-demand price; None if the cost is unknown."""

    kind: Name
    name: str
    state: str
    created: datetime
    cost: float | None = None
    note: str = ""

    @property
    def bills(self) -> bool:
        return self.state not in ENDED


class Calls:
    """Counts the requests to AWS, and limits them in a large account."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, requests: int = 1) -> bool:
        """Count requests that will be sent, and return True. If they exceed the limit, count nothing and return False."""
        allowed = self.left >= requests
        self.left -= requests if allowed else 0
        return allowed


def jobs(session: Session, most: int = 20, calls: int = 10, name: str = "") -> list[Row]:
    """Return the newest jobs and endpoints. Those that cost money come first; both groups are sorted, the newest first.

    At most `calls` requests are sent. Raises AwsError if AWS refuses a list.
    """
    budget = Calls(calls)
    rows: list[Row] = []
    for kind in LISTS:
        if budget.take():
            rows += _newest(session, KINDS[kind], most, name)
    rows.sort(key=lambda row: (not row.bills, -row.created.timestamp()))
    price = prices.load(session.settings, session.region)
    return [_priced(session, row, price, budget) for row in rows[:most]]


def command(options: Namespace) -> int:
    """`byoc jobs`."""
    if options.most < 1 or options.calls < len(LISTS):
        raise ConfigError(f"--most must be at least 1, and --calls at least {len(LISTS)}, one for each list")
    if options.leftovers and options.name:
        raise ConfigError("--leftovers checks the whole region; leave --name out")
    if options.name and not re.fullmatch(r"[a-zA-Z0-9-]{1,63}", options.name):  # the API's pattern of NameContains
        raise ConfigError(f"--name is {options.name!r}; it is a part of a name: letters, digits and hyphens")
    session = Session(account_settings.load(options))
    currency = prices.load(session.settings, session.region).currency
    if options.leftovers:
        found = leftovers.find(session)
        print(
            json.dumps([asdict(item) for item in found], default=str)
            if options.json
            else leftovers.text(found, currency)
        )
        return 0
    rows = jobs(session, options.most, options.calls, options.name or "")
    if options.json:
        print(json.dumps([asdict(row) for row in rows], default=str))
        return 0
    print(table(rows, currency, datetime.now(UTC)))
    if any(row.cost is None for row in rows):
        print(
            "a cost is missing if there is no price (byoc prices), or if it needs more requests than --calls allows",
            file=sys.stderr,
        )
    return 0


def table(rows: Sequence[Row], currency: str, now: datetime) -> str:
    """Return the rows as a table."""
    if not rows:
        return "there are no jobs or endpoints in this region"
    wide = max(len(row.name) for row in rows) + 2
    lines = [f"{'name':<{wide}}{'kind':<11}{'state':<14}{'age':>6}  cost so far"]
    for row in rows:
        amount = "" if row.cost is None else cost.money(row.cost, currency)
        lines.append(
            f"{row.name:<{wide}}{row.kind:<11}{row.state:<14}{age((now - row.created).total_seconds()):>6}  "
            f"{amount:<14}{row.note}".rstrip()
        )
    return "\n".join(lines)


def age(seconds: float) -> str:
    """Return a time span as a text in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _newest(session: Session, kind: Kind, most: int, name: str) -> list[Row]:
    request: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": min(most, PAGE)}
    if name:
        request["NameContains"] = name
    with explained(f"the list of {kind.title}s"):
        answer = getattr(session.client("sagemaker"), f"list_{kind.api}s")(**request)
    return [_row(kind, summary) for summary in answer[kind.summaries]]


def _row(kind: Kind, summary: Mapping[str, Any]) -> Row:
    note = str(summary.get("FailureReason", ""))[:60]
    if pool := (summary.get("WarmPoolStatus") or {}).get("Status"):
        note = f"warm pool {pool}"
    if kind.name == "tuning":
        counters = summary.get("TrainingJobStatusCounters") or {}
        note = f"{counters.get('Completed', 0)} of {sum(counters.values())} training jobs completed"
    state = str(summary.get(kind.status, "Unknown"))
    return Row(kind=kind.name, name=summary[kind.parameter], state=state, created=summary["CreationTime"], note=note)


def _priced(session: Session, row: Row, price: Prices, budget: Calls) -> Row:
    """Return the row with its cost so far. If the limit on requests is reached, return the row unchanged."""
    if not price.hours:
        return row
    if row.kind == "endpoint":
        return replace(row, cost=_endpoint_cost(session, row, price, budget))
    if row.kind == "tuning":
        return replace(row, cost=_tuning_cost(session, row, price, budget))
    if not budget.take():
        return row
    try:
        answer = describe(session, row.kind, row.name)
    except AwsError:  # deleted since the list was read
        return row
    reckon = cost.training_so_far if row.kind == "training" else cost.transform_so_far
    return replace(row, cost=reckon(price, answer, datetime.now(UTC)))


def _tuning_cost(session: Session, row: Row, price: Prices, budget: Calls) -> float | None:
    """Return the total cost of the training jobs of a tuning job. Needs two requests, and one more for each further 100 jobs."""
    if not budget.take():
        return None
    seconds, more = 0.0, dict[str, str]()
    try:
        answer = describe(session, "tuning", row.name)
        while budget.take():
            with explained(f"the training jobs of tuning job {row.name}"):
                page = session.client("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
                    HyperParameterTuningJobName=row.name, MaxResults=PAGE, **more
                )
            now = datetime.now(UTC)
            seconds += sum(cost.seconds(one, "Training", now) for one in page["TrainingJobSummaries"])
            if not page.get("NextToken"):
                return cost.tuning_so_far(price, answer, seconds)
            more = {"NextToken": page["NextToken"]}
    except AwsError:  # deleted since the list was read
        pass
    return None


def _endpoint_cost(session: Session, row: Row, price: Prices, budget: Calls) -> float | None:
    """Return the cost of an endpoint so far, as if it had never changed. Needs two requests."""
    if not budget.take(2):
        return None
    try:
        answer = describe(session, "endpoint", row.name)
    except AwsError as error:
        if is_missing(error):  # deleted since the list was read
            return None
        raise
    config = endpoint.configuration(session, answer["EndpointConfigName"])
    variants = answer.get("ProductionVariants") or []
    counts = {variant["VariantName"]: variant.get("CurrentInstanceCount", 0) for variant in variants}
    hour = leftovers.hour(config, counts, price) if config else None
    return None if hour is None else hour * (datetime.now(UTC) - row.created).total_seconds() / 3600
