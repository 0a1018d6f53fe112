"""An endpoint's metrics in CloudWatch, its scaling and its state, converted for a report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from launch.aws.errors import AwsError, explained
from launch.aws.hosting import history
from launch.aws.hosting.scaling import AUTOSCALING
from launch.aws.session import Session
from reports.sources.endpoint import Endpoint, Event, Variant
from reports.sources.endpoint_cloudwatch import NOTES, QUERIES, Answer, Query, absent, described_variant, usable

MINUTE, HOUR, DAY = 60, 3600, 86_400
PERIODS = 300  # the most periods in a chart
ACTIVITIES = 100
# The shortest periods that CloudWatch keeps (guide, cloudwatch_concepts): each pair is an age in days and, up to that age, the period in
# seconds.
KEPT = ((15, MINUTE), (63, 5 * MINUTE), (455, HOUR))


@dataclass(frozen=True, kw_only=True)
class Span:
    """The time span of the metrics, in seconds since 1970, and the length of a period in seconds."""

    start: int
    end: int
    period: int


def read_endpoint(session: Session, name: str, since: float, now: float) -> Endpoint:
    """Return an endpoint's metrics, scaling and state from `since` to `now`, both in seconds since 1970.

    Raises AwsError if there is no such endpoint, or if its metrics may not be read.
    """
    shown = history.show(session, name)
    period = period_of(since, now)
    start = math.floor(since / period) * period
    end = math.ceil(now / period) * period
    names = sorted(shown.endpoint.counts) or [line.partition(":")[0] for line in shown.instances]
    missing: list[str] = []
    span = Span(start=start, end=end, period=period)
    variants = tuple(_variant(session, name, variant, span, missing) for variant in names)
    if not names:
        missing.append(f"SageMaker names no variant of {name}, so there are no metrics to read.")
    return Endpoint(
        name=name,
        source=f"CloudWatch in {session.region}",
        covers=f"{_moment(start)} to {_moment(now)} UTC, in periods of {period // MINUTE} min",
        facts=tuple(_facts(shown)),
        variants=variants,
        events=_events(session, name, names, since, missing),
        notes=NOTES,
        missing=(*missing, *(sentence for variant in variants for sentence in absent(variant))),
    )


def period_of(since: float, now: float) -> int:
    """Return the length of a period in seconds.

    It is the shortest period that CloudWatch still keeps at that age, or a multiple of it so that a chart has at most PERIODS periods.
    """
    age, span = (now - since) / DAY, max(now - since, MINUTE)
    least = next((seconds for days, seconds in KEPT if age <= days), HOUR)
    return least * math.ceil(span / least / PERIODS)


def _moment(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"


def _facts(shown: history.Shown) -> list[tuple[str, str]]:
    found = shown.endpoint
    facts = [("Status", f"{found.status}{': ' + found.reason if found.reason else ''}"), ("Kind", shown.kind)]
    facts += [("Instances", line) for line in shown.instances]
    facts += [("Autoscaling", f"{entry.low} to {entry.high} instances") for entry in shown.scaled]
    facts += [("Alarms", ", ".join(shown.alarms))] if shown.alarms else []
    return [*facts, ("Changed", f"{found.changed.astimezone(UTC):%Y-%m-%d %H:%M} UTC")]


def _variant(session: Session, endpoint: str, name: str, span: Span, missing: list[str]) -> Variant:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": name}]
    found: dict[str, list[tuple[float, float]]] = {}
    queries = {f"q{number}": query for number, query in enumerate(QUERIES)}
    request = {
        "StartTime": datetime.fromtimestamp(span.start, UTC),
        "EndTime": datetime.fromtimestamp(span.end, UTC),
        "MetricDataQueries": [
            {
                "Id": key,
                "MetricStat": {
                    "Metric": {"Namespace": query.namespace, "MetricName": query.metric, "Dimensions": dimensions},
                    "Period": span.period,
                    "Stat": query.statistic,
                },
            }
            for key, query in queries.items()
        ],
    }
    with explained(f"CloudWatch's metrics of endpoint {endpoint}"):
        for page in session.client("cloudwatch").get_paginator("get_metric_data").paginate(**request):
            for result in page["MetricDataResults"]:
                times = [time.timestamp() for time in result.get("Timestamps", ())]
                found.setdefault(result["Id"], []).extend(usable(result.get("Values", ()), times))
                _complain(queries[result["Id"]], result.get("StatusCode", ""), missing)
    answers = [Answer(query=queries[key], points=tuple(points)) for key, points in found.items()]
    return described_variant(name, answers, start=span.start, end=span.end, period=span.period)


def _complain(query: Query, status: str, missing: list[str]) -> None:
    """Add a sentence to `missing` if CloudWatch calls its answer incomplete.

    PartialData does not count, because the next page brings the rest.
    """
    if status in ("InternalError", "Forbidden"):
        missing.append(
            f"CloudWatch answers {status} for {query.metric} ({query.statistic}): its values may be missing."
        )


def _events(
    session: Session, endpoint: str, variants: Sequence[str], since: float, missing: list[str]
) -> tuple[Event, ...]:
    """Return the scaling activities since `since`, at most the newest hundred of each variant."""
    found = []
    for variant in variants:
        try:
            with explained(f"the scaling activities of endpoint {endpoint}"):
                answer = session.client(AUTOSCALING).describe_scaling_activities(
                    ServiceNamespace="sagemaker",
                    ResourceId=f"endpoint/{endpoint}/variant/{variant}",
                    MaxResults=ACTIVITIES,
                )
        except AwsError as error:
            missing.append(f"Scaling events are unknown: {error}.")
            break
        for one in answer["ScalingActivities"]:
            began = one["StartTime"].timestamp()
            reason = one.get("StatusMessage", "")
            text = f"{variant}: {one['Description']} ({one['StatusCode']}{': ' + reason if reason else ''})"
            found += [Event(time=began, text=text)] if began >= since else []
    return tuple(found)
