"""Counts and times of requests, as Prometheus text for /metrics, and a log line for each request."""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serve import devices
from serve.memory import resident
from serve.worker_api import Timing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64)
LINES_A_SECOND = 10

disable_created_metrics()  # type: ignore[no-untyped-call]  # a sample of when each counter began, which nobody needs here


class Metrics:
    """Counts and times of this server's requests."""

    def __init__(self, workers: Callable[[], tuple[int, int]], *models: Path) -> None:
        """`workers` returns how many workers are ready and how many have been replaced; `models` are the folders of models."""
        self._registry = CollectorRegistry()
        self._registry.register(_Now(workers, (*models, Path(tempfile.gettempdir()))))
        self._requests = Counter("byoc_requests", "Requests by status code.", ["code"], registry=self._registry)
        self._photos = Counter("byoc_photos", "Photos answered.", registry=self._registry)
        self._batch = Histogram(
            "byoc_batch_requests", "Requests in one pass of the model.", buckets=SIZES, registry=self._registry
        )
        self._seconds = {
            name: Histogram(f"byoc_{name}_seconds", text, buckets=SECONDS, registry=self._registry)
            for name, text in (
                ("request", "From the whole body read to the answer."),
                ("decode", "Decoding a request's photos."),
                ("model", "The model's pass, for all requests that shared it."),
                ("queue", "What remains: waiting for a worker, and the way to it and back."),
            )
        }

    def observe(self, code: int, seconds: float, timing: Timing | None) -> None:
        """Count a request that took `seconds`; `timing` is its worker's, None if no worker answered it."""
        self._requests.labels(str(code)).inc()
        if timing is None:
            return
        self._photos.inc(timing.photos)
        self._batch.observe(timing.batch)
        queue = max(0.0, seconds - timing.decode - timing.model)
        for name, value in (("request", seconds), ("decode", timing.decode), ("model", timing.model), ("queue", queue)):
            self._seconds[name].observe(value)

    def started(self) -> None:
        """Note that requests can be answered now. From this call on, the duration of the start is one of the metrics."""
        seconds = max(0.0, time.time() - psutil.Process().create_time())
        name, text = "byoc_start_seconds", "From the start of the server until it could answer."
        Gauge(name, text, registry=self._registry).set(seconds)

    def text(self) -> bytes:
        """Return all metrics as Prometheus text."""
        return generate_latest(self._registry)


class _Now(Collector):
    """The values that are measured at each request for /metrics."""

    def __init__(self, workers: Callable[[], tuple[int, int]], folders: Sequence[Path]) -> None:
        self._workers, self._folders = workers, folders

    def collect(self) -> Iterator[Metric]:
        ready, restarts = self._workers()
        yield GaugeMetricFamily("byoc_workers_ready", "Workers that can answer.", value=ready)
        yield CounterMetricFamily("byoc_worker_restarts", "Workers that replaced others.", value=restarts)
        yield GaugeMetricFamily(
            "byoc_resident_memory_bytes", "Resident memory of all processes.", value=resident(os.getpid())
        )
        yield CounterMetricFamily(
            "byoc_cpu_seconds", "Processor time of all processes, those that ended included.", value=cpu_seconds()
        )
        if (used := devices.disk_used(self._folders)) is not None:
            yield GaugeMetricFamily(
                "byoc_disk_used_ratio",
                "Used share of the disk of models or of temporary files, the fuller one.",
                value=used,
            )
        yield from _gpus(devices.gpus())


def _gpus(found: Sequence[devices.Gpu]) -> Iterator[Metric]:
    """Yield the metrics of GPUs that have a value; they have one label, the GPU's number."""
    for name, text, values in (
        ("byoc_gpu_busy_ratio", "Share of the time in which the GPU computed.", [one.busy for one in found]),
        ("byoc_gpu_memory_used_bytes", "GPU memory in use, of all programs.", [one.memory_used for one in found]),
        ("byoc_gpu_memory_size_bytes", "GPU memory in all.", [one.memory_size for one in found]),
    ):
        family = GaugeMetricFamily(name, text, labels=["gpu"])
        for number, value in enumerate(values):
            if value is not None:
                family.add_metric([str(number)], value)
        if family.samples:
            yield family


def cpu_seconds() -> float:
    """Return the processor time of this process and of all processes below it, including those that have ended."""
    total = 0.0
    process = psutil.Process()
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            used = member.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


class RequestLog:
    """Writes a JSON line for each request to standard output; in mode auto at most ten a second, and the number of those left out."""

    def __init__(self, mode: str) -> None:
        self._mode, self._second, self._lines, self._left_out = mode, 0, 0, 0

    def write(self, **values: object) -> None:
        """Write the line of a request, unless the mode leaves it out."""
        if self._mode == "off":
            return
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._mode == "auto" and self._lines >= LINES_A_SECOND:
            self._left_out += 1
            return
        self._lines += 1
        if self._left_out:
            values["requests_left_out"], self._left_out = self._left_out, 0
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **values}
        # Line and line end in one call: standard output without a buffer would let a line of the model server come between them.
        print(json.dumps(line) + "\n", end="", file=sys.stdout, flush=True)
