"""Defines the queries for an endpoint's metrics in CloudWatch, and turns the answers into a Variant.

Names, units and dimensions are from the page monitoring-cloudwatch of SageMaker's guide. Latencies are in microseconds.
The use of processors and GPUs is a sum over all of them, so it can reach 100 % times their number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reports.sources.endpoint import ColdStarts, Course, Latency, Measure, Variant
from reports.sources.values import number
from reports.system import Numbers

INVOCATIONS, INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
MICRO = 1e-6  # seconds in a microsecond
LATENCIES = {"ModelLatency": "model", "OverheadLatency": "overhead"}
STATISTICS = ("SampleCount", "Average", "Maximum", "p50", "p90", "p99")
COUNTS: dict[str, Measure] = {
    "Invocations": "invocations",
    "Invocation4XXErrors": "errors_4xx",
    "Invocation5XXErrors": "errors_5xx",
    "InvocationModelErrors": "model_errors",
}
USES: dict[str, Measure] = {
    "CPUUtilization": "cpu",
    "MemoryUtilization": "memory",
    "DiskUtilization": "disk",
    "GPUUtilization": "gpu",
    "GPUMemoryUtilization": "gpu_memory",
}
# Metric in microseconds -> the cause of the wait, in words.
LOADS = {
    "ModelSetupTime": "starts of a serverless endpoint's compute",
    "ModelLoadingWaitTime": "requests that waited for their model to be loaded",
}
NOTES = (
    "CloudWatch keeps percentiles of single periods only. So a percentile of the whole time is the mean over the periods, weighted by "
    "their requests; the largest latency is exact.",
    "The use of processors and GPUs is summed over all cores and GPUs, so it may exceed 100 %.",
)


@dataclass(frozen=True, kw_only=True)
class Query:
    """One statistic of one metric."""

    namespace: str
    metric: str
    statistic: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one query: a pair (seconds since 1970, value) for each period with a value, in any order."""

    query: Query
    points: tuple[tuple[float, float], ...]


QUERIES = (
    *(Query(namespace=INVOCATIONS, metric=name, statistic="Sum") for name in COUNTS),
    *(Query(namespace=INVOCATIONS, metric=name, statistic=statistic) for name in LATENCIES for statistic in STATISTICS),
    *(Query(namespace=INVOCATIONS, metric=name, statistic=one) for name in LOADS for one in ("SampleCount", "Maximum")),
    Query(namespace=INVOCATIONS, metric="ConcurrentRequestsPerModel", statistic="Maximum"),
    *(Query(namespace=INSTANCES, metric=name, statistic="Average") for name in USES),
)


def usable(values: Sequence[object], times: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Return the pairs (time, value) of a query whose value is a number."""
    found = [(time, number(value)) for time, value in zip(times, values, strict=False)]
    return tuple((time, value) for time, value in found if value is not None)


def described_variant(name: str, answers: Sequence[Answer], *, start: float, end: float, period: int) -> Variant:
    """Return a variant from the answers to QUERIES, from `start` to `end` in seconds since 1970. A period has `period` seconds."""
    places = max(1, int(np.ceil((end - start) / period)))
    held = {
        (one.query.metric, one.query.statistic): _laid_out(one.points, start, period, places)
        for one in answers
        if one.points
    }
    values: dict[Measure, Numbers] = {
        measure: held[metric, "Sum"] for metric, measure in COUNTS.items() if (metric, "Sum") in held
    }
    values |= {measure: held[metric, "Average"] for metric, measure in USES.items() if (metric, "Average") in held}
    if ("ConcurrentRequestsPerModel", "Maximum") in held:
        values["concurrent"] = held["ConcurrentRequestsPerModel", "Maximum"]
    totals: dict[Measure, float] = {
        measure: float(np.nansum(values[measure])) for measure in COUNTS.values() if measure in values
    }
    return Variant(
        name=name,
        times=start + period * np.arange(places, dtype=np.float64),
        seconds=np.full(places, float(period)),
        values=values,
        totals=totals,
        latencies=tuple(found for metric, part in LATENCIES.items() if (found := _latency(metric, part, held))),
        courses=tuple(
            Course(part=part, p50=MICRO * held[metric, "p50"], p99=MICRO * held[metric, "p99"])
            for metric, part in LATENCIES.items()
            if (metric, "p50") in held and (metric, "p99") in held
        ),
        cold=_cold(held),
    )


def absent(variant: Variant) -> list[str]:
    """Return a sentence for each kind of metric that CloudWatch does not have for a variant."""
    found = []
    if variant.held("invocations") is None:
        found.append(f"CloudWatch has no invocations of variant {variant.name} in this time.")
    elif not variant.courses:
        found.append(
            f"CloudWatch gave no percentiles of the latency of variant {variant.name}; means and maxima are shown."
        )
    unseen = [name for name, measure in USES.items() if variant.held(measure) is None]
    if unseen:
        found.append(f"CloudWatch has no {', '.join(unseen)} of variant {variant.name} in this time.")
    return found


def _laid_out(points: Sequence[tuple[float, float]], start: float, period: int, places: int) -> Numbers:
    """Return one value for each period; NaN if CloudWatch has no value."""
    values = np.full(places, np.nan)
    for time, value in points:
        place = int((time - start) // period)
        if 0 <= place < places:
            values[place] = value
    return values


def _latency(metric: str, part: str, held: Mapping[tuple[str, str], Numbers]) -> Latency | None:
    counts = held.get((metric, "SampleCount"))
    if counts is None:
        return None

    def mean(statistic: str) -> float | None:
        values = held.get((metric, statistic))
        known = None if values is None else ~np.isnan(values) & (counts > 0)
        if values is None or known is None or not known.any():
            return None
        return float(np.average(values[known], weights=counts[known])) * MICRO

    maxima = held.get((metric, "Maximum"))
    return Latency(
        part=part,
        count=float(np.nansum(counts)),
        p50=mean("p50"),
        p90=mean("p90"),
        p99=mean("p99"),
        mean=mean("Average"),
        maximum=None if maxima is None or np.isnan(maxima).all() else float(np.nanmax(maxima)) * MICRO,
    )


def _cold(held: Mapping[tuple[str, str], Numbers]) -> ColdStarts | None:
    for metric, about in LOADS.items():
        counts, longest = held.get((metric, "SampleCount")), held.get((metric, "Maximum"))
        if counts is not None and longest is not None:
            return ColdStarts(count=int(np.nansum(counts)), longest=float(np.nanmax(longest)) * MICRO, about=about)
    return None
