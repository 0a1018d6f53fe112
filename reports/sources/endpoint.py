"""The facts about an endpoint, from /metrics or CloudWatch: counts, latencies, and the use of its machine over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from reports.system import Numbers

# The values of one period. Counts are sums over the period. cpu is in percent of one core, so it is at most 100 x cores;
# gpu and gpu_memory are in percent of one GPU. memory and disk are in percent of the whole; memory_bytes is in bytes.
Measure = Literal[
    "invocations",
    "errors_4xx",
    "errors_5xx",
    "model_errors",
    "cpu",
    "memory",
    "memory_bytes",
    "disk",
    "gpu",
    "gpu_memory",
    "workers",
    "concurrent",
]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """The time that one part of the requests took, in seconds. A value is None if it is not known."""

    part: str  # from CloudWatch: model, overhead; from /metrics: whole request, queue, decode, model
    count: float
    p50: float | None
    p90: float | None
    p99: float | None
    mean: float | None
    maximum: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """The latency of one part over time, in seconds: one value for each period, NaN if the period had no request."""

    part: str
    p50: Numbers
    p99: Numbers


@dataclass(frozen=True, kw_only=True)
class ColdStarts:
    """How often requests waited until a model was loaded, and the longest wait."""

    count: int | None  # None: only the seconds are known
    longest: float | None  # seconds
    about: str  # what `count` counts, as a part of a sentence


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event in the life of the endpoint, such as a scaling or a restart."""

    time: float  # seconds since 1970
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Variant:
    """One variant of an endpoint. `times` are the starts of the periods in seconds since 1970, ascending."""

    name: str
    times: Numbers
    seconds: Numbers  # the length of each period
    values: Mapping[Measure, Numbers]  # arrays as long as `times`; NaN for a period without a measurement
    totals: Mapping[Measure, float] = field(default_factory=dict)  # sums of the counts over the whole time
    codes: Mapping[str, float] = field(default_factory=dict)  # number of answers by status code; empty if not known
    latencies: tuple[Latency, ...] = ()
    courses: tuple[Course, ...] = ()
    cold: ColdStarts | None = None

    def total(self, measure: Measure) -> float | None:
        """Return the count over the whole time; None if it was not counted."""
        return self.totals.get(measure)

    def held(self, measure: Measure) -> Numbers | None:
        """Return the values of a measure; None if it was never measured."""
        values = self.values.get(measure)
        return None if values is None or not len(values) or bool(np.isnan(values).all()) else values


@dataclass(frozen=True, kw_only=True, eq=False)
class Endpoint:
    """An endpoint and its variants. `covers` says in words which time the numbers cover; the page shows `facts` unchanged."""

    name: str
    source: str
    covers: str
    facts: tuple[tuple[str, str], ...] = ()
    variants: tuple[Variant, ...] = ()
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()  # sentences on how to read the numbers
    missing: tuple[str, ...] = ()
