"""What a report knows of the machines of a job: SageMaker's profiler output, reduced to what rules and page need."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """One measured quantity of one device: `times` in seconds since 1970, ascending, and as many `values`."""

    host: str
    device: str  # cpu0, gpu1, memory, network, disk
    measure: str  # one of MEASURES
    times: Numbers
    values: Numbers


# Measure -> unit. `gpu_memory` is what the platform names GPUMemoryUtilization: how busy the memory is, not how
# full; our own records also hold how full it is. `cpu_limit` is the share of the processors' time that a container may use.
MEASURES = {
    "cpu": "%",
    "io_wait": "%",
    "gpu": "%",
    "gpu_memory": "%",
    "gpu_memory_used": "bytes",
    "gpu_memory_full": "%",
    "busiest_core": "%",
    "cpu_limit": "%",
    "memory": "%",
    "receive": "bytes/s",
    "transmit": "bytes/s",
    "disk_read": "bytes/s",
    "disk_write": "bytes/s",
    "disk_operations": "1/s",
}
MOST_PERCENT = 200  # a point of 100 ms may count a little more than there is; a larger share is damage


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How much of one resource one host used over the whole job."""

    host: str
    resource: str
    maximum: float
    p99: float
    p95: float
    p50: float
    minimum: float
    points: int


@dataclass(frozen=True, kw_only=True)
class Span:
    """One timed event of a framework trace, in seconds; `start` is since 1970 where the trace says when it began."""

    process: str
    name: str
    start: float
    seconds: float
    step: int | None


@dataclass(frozen=True, kw_only=True)
class StepStatistics:
    """The durations of one node's steps in one phase, in seconds; `outliers` lie above mean + 3 sigma.

    `lost` is how much longer than the median all outliers took together; None where only counts are known.
    """

    node: str
    phase: str
    count: int
    mean: float
    p50: float
    p95: float
    maximum: float
    outliers: int
    lost: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlatformVerdict:
    """What SageMaker's own rule said: `triggered` counts scans, not problems."""

    rule: str
    triggered: int
    violations: int
    points: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Bottlenecks:
    """Snapshots in which some GPU had nothing to do, and those of them in which the processor or the disk was the reason."""

    starved: int
    idle_gpu: int
    snapshots: int


@dataclass(frozen=True, kw_only=True)
class GpuUse:
    """Utilisation of one GPU in percent, over the window that a rule looks at."""

    host: str
    gpu: str
    p95: float
    p50: float
    p5: float


@dataclass(frozen=True, kw_only=True)
class BatchUse:
    """The 95th percentiles of one host's use, in percent: of the mean of its cores, of each GPU, and of each GPU's memory."""

    host: str
    cpu_p95: float
    gpu_p95: tuple[float, ...]
    gpu_memory_p95: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """How often one GPU's utilisation fell into each bin of equal width."""

    host: str
    gpu: str
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """How many processes load photos, and how many cores the host has."""

    workers: int
    cores: int
    seconds_p50: float | None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A job's profiler output: raw series and spans, or what is left of them in SageMaker's reports."""

    source: str
    files: int
    series: tuple[Series, ...] = ()
    spans: tuple[Span, ...] = ()
    usage: tuple[Usage, ...] = ()
    verdicts: tuple[PlatformVerdict, ...] = ()
    steps: tuple[StepStatistics, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)  # share of the time in percent, adding up to 100
    operators: Mapping[str, float] = field(default_factory=dict)  # seconds
    details: "Details | None" = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Details:
    """What SageMaker's reports counted and its raw points would give again; used where the points are not at hand."""

    cpu: Bottlenecks | None = None
    disk: Bottlenecks | None = None
    gpus: tuple[GpuUse, ...] = ()
    gpu_points: int = 0
    batch: tuple[BatchUse, ...] = ()
    memory_increase: Mapping[str, float] = field(default_factory=dict)  # by host and GPU, in percent points
    workloads: tuple[Workload, ...] = ()
    loaders: Loaders | None = None
    first_step_seconds: float | None = None  # after the start of the job
