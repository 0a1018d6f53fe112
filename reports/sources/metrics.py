"""Reads the system metrics of SageMaker's profiler: JSON lines. A line holds one value of one device at one time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from reports.align import mean, together
from reports.sources.values import Fields
from reports.system import MEASURES, MOST_PERCENT, Numbers, Series, Usage

MEASURE_OF = {
    ("cpu", "CPUUtilization"): "cpu",
    ("cpu", "I/OWaitPercentage"): "io_wait",
    ("gpu", "GPUUtilization"): "gpu",
    ("gpu", "GPUMemoryUtilization"): "gpu_memory",
}
# Metrics whose name is the quantity, and whose dimension is the source; the dimension "Algorithm" is the training container only.
NAMED = {
    "MemoryUsedPercent": "memory",
    "ReceiveBytesPerSecond": "receive",
    "TransmitBytesPerSecond": "transmit",
    "ReadThroughputInBytesPerSecond": "disk_read",
    "WriteThroughputInBytesPerSecond": "disk_write",
    "IOPS": "disk_operations",
}
# Measure -> name of the resource in tables. A host's CPU is the mean of its cores; each GPU is a separate resource.
RESOURCES = {
    "cpu": "CPU",
    "io_wait": "I/O wait",
    "gpu": "GPU",
    "gpu_memory": "GPU memory activity",
    "gpu_memory_used": "GPU memory used",
    "gpu_memory_full": "GPU memory filled",
    "busiest_core": "Busiest core",
    "cpu_limit": "CPU, share of the container's limit",
    "memory": "CPU memory",
    "receive": "Network received",
    "transmit": "Network sent",
    "disk_read": "Disk read",
    "disk_write": "Disk written",
}
MEAN_OF_DEVICES = ("cpu", "io_wait")


@dataclass
class Metrics:
    """Collects points by host, device and measure."""

    points: dict[tuple[str, str, str], list[tuple[float, float]]] = field(default_factory=dict)
    unknown: int = 0

    def take(self, point: Fields) -> None:
        """Add one point, or count it in `unknown` if its kind is unknown or it is not complete."""
        kind, name, dimension = point.text("Type"), point.text("Name"), point.text("Dimension")
        value, time = point.amount("Value"), point.amount("Timestamp")
        measure = MEASURE_OF.get((kind, dimension)) or NAMED.get(name)
        if measure is None or value is None or time is None or (MEASURES[measure] == "%" and value > MOST_PERCENT):
            self.unknown += 1
        elif dimension != "Algorithm":  # the platform's values include the container's, so the container's are left out
            device = name if (kind, dimension) in MEASURE_OF else kind
            self.points.setdefault((point.text("NodeId") or "host", device, measure), []).append((time, value))

    def series(self) -> tuple[Series, ...]:
        """Return the series in natural order of hosts and devices, each ascending in time."""
        found = []
        for (host, device, measure), points in sorted(self.points.items(), key=lambda item: _natural(item[0])):
            table = np.array(sorted(points), dtype=np.float64)
            found.append(Series(host=host, device=device, measure=measure, times=table[:, 0], values=table[:, 1]))
        return tuple(found)


def _natural(names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Return a key that sorts cpu2 before cpu10."""
    parts = []
    for name in names:
        text = name.rstrip("0123456789")
        digits = name[len(text) :]
        parts.append((text, int(digits[:9]) if digits else -1))
    return tuple(parts)


def usage(series: Iterable[Series]) -> tuple[Usage, ...]:
    """Return the use of each resource of each host over the whole job."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        if one.measure in RESOURCES:
            device = "" if one.measure in MEAN_OF_DEVICES or "gpu" not in one.device else f" {one.device}"
            groups.setdefault((one.host, RESOURCES[one.measure] + device), []).append(one)
    found = []
    for (host, resource), members in groups.items():
        _, table = together(members)
        values = mean(table)
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        found.append(
            Usage(
                host=host,
                resource=resource,
                maximum=float(values.max()),
                p99=float(p99),
                p95=float(p95),
                p50=float(p50),
                minimum=float(values.min()),
                points=len(values),
            )
        )
    return tuple(found)


def gaps(series: Iterable[Series]) -> dict[str, float]:
    """Return, for each host, the longest time without a point, in seconds."""
    times: dict[str, list[Numbers]] = {}
    for one in series:
        times.setdefault(one.host, []).append(one.times)
    joined = {host: np.diff(np.unique(np.concatenate(held))) for host, held in times.items()}
    return {host: float(steps.max()) if len(steps) else 0.0 for host, steps in joined.items()}
