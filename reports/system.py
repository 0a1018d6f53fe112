"""The facts about a job's machines from SageMaker's profiler output, as far as the rules and the page use them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """One measured quantity of one device. `times` are seconds since 1970, ascending; `values` has the same length."""

    host: str
    device: str  # such as cpu0, gpu1, memory, network or disk
    measure: str  # a key of MEASURES
    times: Numbers
    values: Numbers


# The unit of each measure. `gpu_memory` is SageMaker's GPUMemoryUtilization: how busy a GPU's memory is, not how full.
# `gpu_memory_full` is how full it is; only our own records hold it.
# `cpu_limit` is the used share of the processor time that the container may use.
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
MOST_PERCENT = 200  # a point over 100 ms may be slightly above 100 %; a larger value than this is an error in the file


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The use of one resource of one host over the whole job: extremes and percentiles."""

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
    """One timed event of a framework trace. `start` is in seconds since 1970 if the trace holds its own start time."""

    process: str
    name: str
    start: float
    seconds: float
    step: int | None


@dataclass(frozen=True, kw_only=True)
class StepStatistics:
    """The durations, in seconds, of one node's steps in one phase. `outliers` counts the steps above mean + 3 sigma.

    `lost` is the sum, over all outliers, of the time above the median; None if only counts are known.
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
    """The verdict of one of SageMaker's own rules. `triggered` counts the scans that found the problem, not separate problems."""

    rule: str
    triggered: int
    violations: int
    points: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Bottlenecks:
    """Counts of snapshots: all, those with at least one idle GPU, and those in which the GPU waited for the processor or the disk."""

    starved: int
    idle_gpu: int
    snapshots: int


@dataclass(frozen=True, kw_only=True)
class GpuUse:
    """Percentiles of the utilisation of one GPU, in percent, over the window that a rule examines."""

    host: str
    gpu: str
    p95: float
    p50: float
    p5: float


@dataclass(frozen=True, kw_only=True)
class BatchUse:
    """The 95th percentile, in percent, of one host's utilisation: the mean of its cores, each GPU, and each GPU's memory."""

    host: str
    cpu_p95: float
    gpu_p95: tuple[float, ...]
    gpu_memory_p95: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A histogram of one GPU's utilisation: the number of points in each bin; the bins have equal width."""

    host: str
    gpu: str
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """The number of processes that load photos, and the number of cores of their host."""

    workers: int
    cores: int
    seconds_p50: float | None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A job's profiler output: raw series and spans, or the summaries in SageMaker's reports if the raw files are missing."""

    source: str
    files: int
    series: tuple[Series, ...] = ()
    spans: tuple[Span, ...] = ()
    usage: tuple[Usage, ...] = ()
    verdicts: tuple[PlatformVerdict, ...] = ()
    steps: tuple[StepStatistics, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)  # percent of the time by phase; the sum is 100
    operators: Mapping[str, float] = field(default_factory=dict)  # seconds by operator
    details: "Details | None" = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Details:
    """Counts in SageMaker's reports that could also be computed from the raw points; used if the raw points are missing."""

    cpu: Bottlenecks | None = None
    disk: Bottlenecks | None = None
    gpus: tuple[GpuUse, ...] = ()
    gpu_points: int = 0
    batch: tuple[BatchUse, ...] = ()
    memory_increase: Mapping[str, float] = field(default_factory=dict)  # percentage points by host and GPU
    workloads: tuple[Workload, ...] = ()
    loaders: Loaders | None = None
    first_step_seconds: float | None = None  # seconds from the job's start to the first step
