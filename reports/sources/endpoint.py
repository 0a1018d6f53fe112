"""What a report knows of an endpoint: counts, latencies and the use of its machine over time, from /metrics or CloudWatch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from reports.system import Numbers

# Of one period: counts are sums; cpu is in percent of one core, so up to 100 x cores, and gpu and gpu_memory likewise by GPU;
# memory and disk are in percent of all there is; memory_bytes is in bytes.
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
    """How long one part of the requests took, in seconds; None where that is not known."""

    part: str  # of CloudWatch: model, overhead; of /metrics: whole request, decode, model, queue
    count: float
    p50: float | None
    p90: float | None
    p99: float | None
    mean: float | None
    maximum: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """The latency of one part over time, in seconds, one value for each period; NaN where there was no request."""

    part: str
    p50: Numbers
    p99: Numbers


@dataclass(frozen=True, kw_only=True)
class ColdStarts:
    """How often somebody had to wait for a model to be loaded, and for how long at most."""

    count: int | None  # None: only the seconds are known
    longest: float | None  # seconds
    about: str  # what was counted, as a part of a sentence


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to the endpoint."""

    time: float  # seconds since 1970
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Variant:
    """One variant of an endpoint. `times` are the beginnings of the periods in seconds since 1970, ascending."""

    name: str
    times: Numbers
    seconds: Numbers  # the length of each period
    values: Mapping[Measure, Numbers]  # as long as `times`; NaN where nothing was measured
    totals: Mapping[Measure, float] = field(default_factory=dict)  # of counts
    codes: Mapping[str, float] = field(default_factory=dict)  # answers by status code, where that is known
    latencies: tuple[Latency, ...] = ()
    courses: tuple[Course, ...] = ()
    cold: ColdStarts | None = None

    def total(self, measure: Measure) -> float | None:
        """Return how many there were in all; None where that was not counted."""
        return self.totals.get(measure)

    def held(self, measure: Measure) -> Numbers | None:
        """Return the values of a measure; None where it was never measured."""
        values = self.values.get(measure)
        return None if values is None or not len(values) or bool(np.isnan(values).all()) else values


@dataclass(frozen=True, kw_only=True, eq=False)
class Endpoint:
    """An endpoint, with its variants; `facts` are shown as they stand, `covers` says of which time the numbers are."""

    name: str
    source: str
    covers: str
    facts: tuple[tuple[str, str], ...] = ()
    variants: tuple[Variant, ...] = ()
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()  # how the numbers are to be read
    missing: tuple[str, ...] = ()
