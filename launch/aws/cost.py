"""Calculates the most that a plan can cost, from the hourly price of its instances.

If a plan names several types, the most expensive type counts. Only instances count: volumes, S3, logs and traffic cost extra, but little in
comparison.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from launch.aws.prices import Prices, Use
from launch.aws.specification import Hosting, Machines, Tuning

MONTH = 730  # hours of a month, as AWS counts them


@dataclass(frozen=True, kw_only=True)
class Bound:
    """An upper bound of a cost. If a price is missing, `amount` is None and `why` names the missing price."""

    amount: float | None
    currency: str = "USD"
    why: str = ""  # how the amount was calculated, or why it is None
    monthly: bool = False

    def __str__(self) -> str:
        if self.amount is None:
            return f"unknown: {self.why}"
        return f"at most {self.money}{' a month' if self.monthly else ''} ({self.why})"

    @property
    def money(self) -> str:
        return "" if self.amount is None else money(self.amount, self.currency)


def money(amount: float, currency: str) -> str:
    """Return an amount as text. Small amounts keep two significant digits."""
    return f"{amount:.2f} {currency}" if amount >= 0.1 or amount == 0 else f"{amount:.2g} {currency}"


def hour(prices: Prices, use: Use, types: Sequence[str], count: int) -> Bound:
    """Return the most that `count` instances cost in an hour. If there are several types, the most expensive one counts."""
    unknown = [kind for kind in types if prices.hour(use, kind) is None]
    if unknown:
        where = f"{prices.file} has" if prices.file else "there is"
        return Bound(
            amount=None, why=f"{where} no price of {use} on {', '.join(unknown)}; byoc prices reads AWS's list"
        )
    dearest = max(types, key=lambda kind: prices.hour(use, kind) or 0.0)
    price = prices.hour(use, dearest) or 0.0
    old = f" on {prices.read}, which byoc prices renews," if prices.old else ""
    why = f"{count} x {dearest} x {price:g} an hour{old}"
    return Bound(amount=count * price, currency=prices.currency, why=why)


def month(one: Bound) -> Bound:
    """Return the upper bound for a month, from the bound for an hour."""
    if one.amount is None:
        return replace(one, monthly=True)
    return replace(one, amount=one.amount * MONTH, why=f"{one.why} x {MONTH} h", monthly=True)


def job(prices: Prices, use: Use, machines: Machines, jobs: int = 1) -> Bound:
    """Return the upper bound for `jobs` jobs that all run to their time limit. It includes the warm pool that each job may leave."""
    one = hour(prices, use, machines.types, machines.count)
    if one.amount is None:
        return one
    hours = (machines.max_run + machines.keep_alive) / 3600
    pool = ", warm pools included" if machines.keep_alive else ""
    times = f"{jobs} jobs x " if jobs > 1 else ""
    spot = "; spot costs less" if machines.spot else ""
    why = f"{times}{one.why} x {hours:.3g} h{pool}{spot}"
    return Bound(amount=jobs * hours * one.amount, currency=one.currency, why=why)


def tuning(prices: Prices, wanted: Tuning) -> Bound:
    """Return the upper bound for a tuning job.

    Either all its training jobs run to their time limit, or the tuning job runs to its own; the lower cost counts.
    """
    machines = wanted.training.machines
    every = job(prices, "training", machines, wanted.max_jobs)
    if every.amount is None or not wanted.max_run:
        return every
    one = hour(prices, "training", machines.types, machines.count)
    whole = wanted.parallel * wanted.max_run / 3600 * (one.amount or 0.0)
    if whole >= every.amount:
        return every
    why = f"{wanted.parallel} at a time x {one.why} x {wanted.max_run / 3600:.3g} h"
    return Bound(amount=whole, currency=one.currency, why=why)


def endpoint(prices: Prices, hosting: Hosting, most: int = 0) -> Bound:
    """Return the cost of an endpoint for a month. `most` is the highest number of instances that autoscaling may reach."""
    if hosting.serverless:
        return Bound(
            amount=None,
            why="a serverless endpoint is billed by the request, and costs nothing without requests",
            monthly=True,
        )
    use: Use = "async" if hosting.asynchronous else "hosting"
    return month(hour(prices, use, hosting.types, max(hosting.count, most)))


def training_so_far(prices: Prices, answer: Mapping[str, Any], now: datetime) -> float | None:
    """Return the cost so far of a described training job; None if a price or a type is missing."""
    kind, count = instances(answer)
    price = prices.hour("training", kind)
    if price is None:
        return None
    pool = (answer.get("WarmPoolStatus") or {}).get("ResourceRetainedBillableTimeInSeconds", 0)
    return count * price * (seconds(answer, "Training", now) + float(pool)) / 3600


def instances(answer: Mapping[str, Any]) -> tuple[str, int]:
    """Return the instance type of a described training job, and the number of its instances. The type is empty if it is unknown."""
    config = answer.get("ResourceConfig") or {}
    kind = config.get("SelectedInstanceType") or config.get("InstanceType", "")
    return kind, int(config.get("SelectedInstanceCount") or config.get("InstanceCount", 1))


def tuning_so_far(prices: Prices, answer: Mapping[str, Any], seconds: float) -> float | None:
    """Return the cost so far of a described tuning job's training jobs, from the seconds that they ran in all.

    None if the jobs may use several instance types, or if a price is missing.
    """
    definition = answer.get("TrainingJobDefinition") or {}
    config = definition.get("HyperParameterTuningResourceConfig") or definition.get("ResourceConfig") or {}
    price = prices.hour("training", config.get("InstanceType", ""))
    return None if price is None else int(config.get("InstanceCount", 1)) * price * seconds / 3600


def transform_so_far(prices: Prices, answer: Mapping[str, Any], now: datetime) -> float | None:
    """Return the cost so far of a described transform job; None if a price is missing."""
    config = answer.get("TransformResources") or {}
    price = prices.hour("transform", config.get("InstanceType", ""))
    if price is None:
        return None
    return int(config.get("InstanceCount", 1)) * price * seconds(answer, "Transform", now) / 3600


def seconds(answer: Mapping[str, Any], word: str, now: datetime) -> float:
    """Return the billed seconds of a described job on each instance.

    If AWS has not reported them yet, return the seconds since its start.
    """
    billed = answer.get("BillableTimeInSeconds")
    if billed is not None:
        return float(billed)
    started, ended = answer.get(f"{word}StartTime"), answer.get(f"{word}EndTime")
    return 0.0 if started is None else max(0.0, ((ended or now) - started).total_seconds())
