"""Reduces raw series to the numbers that the profiler's rules judge. A snapshot holds the values of all devices of a host at one moment."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reports.align import TOGETHER, nearest
from reports.rules.thresholds import System, Waiting
from reports.system import BatchUse, Bottlenecks, GpuUse, Numbers, Profile, Series, Workload

BINS = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshots:
    """The values of one host's devices at common moments. Each array is [moments, devices], with NaN if a device has no point."""

    host: str
    times: Numbers
    cpu: Numbers
    io_wait: Numbers
    gpu: Numbers
    gpu_memory: Numbers
    gpu_memory_full: Numbers
    busiest: Numbers  # use of the busiest core; measured only if the series hold groups of cores


def snapshots(profile: Profile) -> list[Snapshots]:
    """Return the snapshots of each host that has a GPU, at the moments at which its first GPU was measured."""
    found = []
    for host in dict.fromkeys(one.host for one in profile.series):
        held = [one for one in profile.series if one.host == host]
        gpus = [one for one in held if one.measure == "gpu"]
        if gpus:
            times = gpus[0].times
            found.append(
                Snapshots(
                    host=host,
                    times=times,
                    cpu=_at(times, held, "cpu"),
                    io_wait=_at(times, held, "io_wait"),
                    gpu=_at(times, held, "gpu"),
                    gpu_memory=_at(times, held, "gpu_memory"),
                    gpu_memory_full=_at(times, held, "gpu_memory_full"),
                    busiest=_at(times, held, "busiest_core"),
                )
            )
    return found


def _at(times: Numbers, held: Iterable[Series], measure: str) -> Numbers:
    """Return, for each moment and device, the value nearest in time; NaN if it is more than TOGETHER seconds away."""
    columns = [nearest(times, one, TOGETHER) for one in held if one.measure == measure]
    return np.stack(columns, axis=1) if columns else np.empty((len(times), 0))


def looked_at(count: int, waiting: Waiting) -> slice:
    """Return the slice of `count` points that a rule examines."""
    start = int(waiting.start_share * count)
    return slice(max(start, count - waiting.last_points) if waiting.last_points else start, count)


def bottlenecks(hosts: Iterable[Snapshots], busy: str, limit: float, system: System) -> Bottlenecks:
    """Count the snapshots in which some GPU idled, and those in which some core was over `limit` at the same moment.

    `busy` is cpu or io_wait. All points count except those in the first `start_share` of the run.
    """
    starved = idle_gpu = total = 0
    for host in hosts:
        first = int(system.waiting.start_share * len(host.times))
        idle = np.any(host.gpu[first:] < system.idle_gpu, axis=1)
        cores = np.concatenate([host.cpu, host.busiest], axis=1) if busy == "cpu" else host.io_wait
        full = np.any(cores[first:] > limit, axis=1)
        starved += int((idle & full).sum())
        idle_gpu += int(idle.sum())
        total += len(idle)
    return Bottlenecks(starved=starved, idle_gpu=idle_gpu, snapshots=total)


def gpu_use(hosts: Iterable[Snapshots], system: System) -> tuple[list[GpuUse], int]:
    """Return the use of each GPU over the points that the rule examines, and the smallest number of points of a host."""
    found, counts = [], [0]
    for host in hosts:
        counts.append(len(host.times))
        window = host.gpu[looked_at(len(host.times), system.waiting)]
        for place in range(window.shape[1]):
            values = window[:, place][~np.isnan(window[:, place])]
            if len(values):
                p95, p50, p5 = (float(value) for value in np.percentile(values, (95, 50, 5)))
                found.append(GpuUse(host=host.host, gpu=f"gpu{place}", p95=p95, p50=p50, p5=p5))
    return found, min(counts[1:], default=0)


def batch_use(hosts: Iterable[Snapshots], system: System) -> list[BatchUse]:
    """Return the 95th percentiles of processor, GPUs and GPU memory of each host, over the points that the rule examines."""
    found = []
    for host in hosts:
        window = looked_at(len(host.times), system.waiting)
        cpu = host.cpu[window]
        measured = ~np.isnan(cpu).all(axis=1) if cpu.shape[1] else np.zeros(len(cpu), dtype=bool)
        if measured.any():
            found.append(
                BatchUse(
                    host=host.host,
                    cpu_p95=float(np.percentile(np.nanmean(cpu[measured], axis=1), 95)),
                    gpu_p95=_p95(host.gpu[window]),
                    gpu_memory_p95=(*_p95(host.gpu_memory[window]), *_p95(host.gpu_memory_full[window])),
                )
            )
    return found


def _p95(window: Numbers) -> tuple[float, ...]:
    columns = (window[:, place] for place in range(window.shape[1]))
    return tuple(float(np.nanpercentile(column, 95)) for column in columns if not np.isnan(column).all())


def workloads(hosts: Iterable[Snapshots]) -> list[Workload]:
    """Return the histogram of each GPU's utilisation, in bins of equal width from 0 to 100 %."""
    found = []
    for host in hosts:
        for place in range(host.gpu.shape[1]):
            values = host.gpu[:, place][~np.isnan(host.gpu[:, place])]
            counts, _ = np.histogram(values, bins=BINS, range=(0, 100))
            found.append(Workload(host=host.host, gpu=f"gpu{place}", counts=tuple(map(int, counts))))
    return found


def largest_increase(hosts: Iterable[Snapshots], window: int) -> tuple[dict[str, float], int]:
    """Return each GPU's largest growth of memory activity, and the number of points.

    The growth is the mean of `window` points in a row minus the mean of the `window` - 1 points before them.
    """
    found, count = {}, 0
    for host in hosts:
        count = max(count, len(host.times))
        for place in range(host.gpu_memory.shape[1]):
            values = host.gpu_memory[:, place][~np.isnan(host.gpu_memory[:, place])]
            if len(values) >= 2 * window - 1:
                sums = np.concatenate(([0.0], np.cumsum(values)))
                after = (sums[2 * window - 1 :] - sums[window - 1 : -window]) / window
                before = (sums[window - 1 : -window] - sums[: -2 * window + 1]) / (window - 1)
                found[f"{host.host} gpu{place}"] = float((after - before).max())
    return found, count
