"""Reads the serving program's /metrics, which is Prometheus text, into samples, and computes the difference of two histograms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from classifier.errors import DataError

# Metric of the serving program -> part of a request. The first entry is the whole request.
PARTS = {
    "byoc_request_seconds": "whole request",
    "byoc_queue_seconds": "queue",
    "byoc_decode_seconds": "decode",
    "byoc_model_seconds": "model",
}
COUNTS = ("byoc_photos", "byoc_worker_restarts", "byoc_cpu_seconds")
GAUGES = ("byoc_workers_ready", "byoc_resident_memory_bytes", "byoc_start_seconds", "byoc_disk_used_ratio")
# Gauges with a value for each GPU.
GPU_BUSY, GPU_USED, GPU_SIZE = "byoc_gpu_busy_ratio", "byoc_gpu_memory_used_bytes", "byoc_gpu_memory_size_bytes"
GONE = "499"  # status code for a client that disconnected; it got no answer, so this is not an error


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """The number of observations at or below each bound. The last bound is infinity."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float

    @property
    def count(self) -> float:
        return self.counts[-1] if self.counts else 0.0

    @property
    def mean(self) -> float | None:
        return self.sum / self.count if self.count > 0 else None

    def quantile(self, share: float) -> float | None:
        """Return the quantile of `share`, from 0 to 1; None without observations.

        The value is interpolated between two bounds, as by PromQL's histogram_quantile. Above the last finite bound, it is that bound.
        """
        rank, below, before = share * self.count, 0.0, 0.0
        if self.count <= 0:
            return None
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= rank and count > before:
                return below if math.isinf(bound) else below + (bound - below) * (rank - before) / (count - before)
            below, before = bound, count
        return below

    def since(self, earlier: "Histogram | None") -> "Histogram":
        """Return the observations since an earlier sample. If the server has restarted since then, return all observations."""
        if earlier is None or earlier.bounds != self.bounds:
            return self
        counts = tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True))
        if min(counts, default=0.0) < 0:
            return self
        return Histogram(bounds=self.bounds, counts=counts, sum=max(0.0, self.sum - earlier.sum))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The values in one answer of /metrics."""

    time: float  # seconds since 1970
    codes: Mapping[str, float] = field(default_factory=dict)  # requests by status code
    counts: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)  # by part of a request
    gpus: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # value by metric and GPU number

    @property
    def requests(self) -> float:
        return sum(self.codes.values())

    def errors(self, digit: str) -> float:
        """Return the number of answers whose status code begins with this digit, without 499: a client that disconnects is no error."""
        return sum(count for code, count in self.codes.items() if code.startswith(digit) and code != GONE)

    @property
    def gpu_busy(self) -> float | None:
        """The summed use of all GPUs, in percent of one GPU; None if it is not known."""
        held = self.gpus.get(GPU_BUSY)
        return 100 * sum(held.values()) if held else None

    @property
    def gpu_memory(self) -> float | None:
        """The summed memory in use of all GPUs, in percent of one GPU's memory; None if it is not known."""
        used, size = self.gpus.get(GPU_USED, {}), self.gpus.get(GPU_SIZE, {})
        shares = [100 * value / size[gpu] for gpu, value in used.items() if size.get(gpu)]
        return sum(shares) if shares else None


def read_sample(text: str, time: float) -> Sample:
    """Return the sample in an answer of /metrics.

    Raises DataError if the text is not Prometheus text, or if it holds no metric of the serving program.
    """
    codes, counts, gauges, histograms = dict[str, float](), dict[str, float](), dict[str, float](), {}
    gpus = dict[str, dict[str, float]]()
    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError) as error:
        raise DataError(f"is not Prometheus text ({error})") from None
    for family in families:
        if family.name == "byoc_requests":
            codes = {one.labels["code"]: one.value for one in family.samples if "code" in one.labels}
        elif family.name in COUNTS:
            for one in (one for one in family.samples if one.name == f"{family.name}_total"):
                counts[family.name] = one.value
        elif family.name in GAUGES:
            for one in family.samples:
                gauges[family.name] = one.value
        elif family.name in (GPU_BUSY, GPU_USED, GPU_SIZE):
            held = {one.labels.get("gpu", ""): one.value for one in family.samples}
            gpus[family.name] = {gpu: value for gpu, value in held.items() if _usable(value)}
        elif family.name in PARTS and (found := _histogram(family)):
            histograms[PARTS[family.name]] = found
    if not any((codes, counts, gauges, histograms)):
        raise DataError("holds no metric of the serving program (their names begin with byoc_)")
    return Sample(
        time=time,
        codes={code: count for code, count in codes.items() if _usable(count)},
        counts={name: count for name, count in counts.items() if _usable(count)},
        gauges={name: value for name, value in gauges.items() if _usable(value)},
        histograms=histograms,
        gpus=gpus,
    )


def _histogram(family: Metric) -> Histogram | None:
    """Return a histogram; None if its buckets are incomplete, or if their counts do not ascend."""
    try:
        buckets = sorted((float(one.labels["le"]), one.value) for one in family.samples if one.name.endswith("_bucket"))
        total = next(one.value for one in family.samples if one.name.endswith("_sum"))
    except (KeyError, ValueError, StopIteration):
        return None
    counts = tuple(count for _, count in buckets)
    whole = bool(buckets) and math.isinf(buckets[-1][0]) and all(map(_usable, (*counts, total)))
    if not whole or any(later < earlier for earlier, later in pairwise(counts)):
        return None
    return Histogram(bounds=tuple(bound for bound, _ in buckets), counts=counts, sum=total)


def _usable(value: float) -> bool:
    return math.isfinite(value) and value >= 0
