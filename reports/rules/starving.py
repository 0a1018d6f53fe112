"""Rules on processors, GPUs and disks: CPUBottleneck, IOBottleneck, LowGPUUtilization, BatchSize."""

from reports.rules import settings
from reports.rules.snapshots import Snapshots, batch_use, bottlenecks, gpu_use, snapshots
from reports.rules.thresholds import Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered
from reports.system import BatchUse, Bottlenecks, GpuUse, Profile, Usage

NO_PROFILE = "There are no system metrics: neither points nor SageMaker's reports."
NO_GPU = "The system metrics hold no data of a GPU."
FASTER = "load photos in more processes, store smaller photos"


def cpu_bottleneck(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether a GPU waits for the processor."""
    return _bottleneck(
        evidence,
        limits,
        "cpu",
        limits.system.busy_cpu,
        "a core was above",
        f"{FASTER}, or take an instance with more cores for each GPU",
    )


def io_bottleneck(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether a GPU waits for the disk."""
    advice = "photos are read too slowly; take fast file mode or a local copy of the data, and fewer, larger files"
    return _bottleneck(
        evidence, limits, "io_wait", limits.system.busy_io, "a core waited for I/O for more than", advice
    )


def _bottleneck(evidence: Evidence, limits: Thresholds, busy: str, limit: float, what: str, advice: str) -> Verdict:
    if evidence.profile is None:
        return not_judged(NO_PROFILE)
    hosts = snapshots(evidence.profile)
    if hosts:
        counted = bottlenecks(hosts, busy, limit, limits.system)
    else:
        held = evidence.profile.details
        known = (held.cpu if busy == "cpu" else held.disk) if held else None
        if known is None:
            return not_judged(NO_GPU if evidence.profile.series else NO_PROFILE)
        if not known.idle_gpu and not gpu_rows(evidence.profile):
            return not_judged(NO_GPU, known.snapshots)
        counted = known
    return _counted(counted, limits, f"{what} {limit:g} %", advice)


def _counted(counted: Bottlenecks, limits: Thresholds, what: str, advice: str) -> Verdict:
    points = counted.snapshots
    if points < max(limits.system.waiting.points, 1):
        return not_judged(f"{points} snapshots are too few; {limits.system.waiting.points} are needed.", points)
    share = 100 * counted.starved / points
    said = (
        f"In {counted.starved:,} of {points:,} snapshots ({share:.1f} %) {what} while a GPU was below "
        f"{limits.system.idle_gpu:g} %. A GPU was that idle in {counted.idle_gpu:,} snapshots."
    )
    if share <= limits.system.bottleneck_percent:
        return quiet(said, points)
    return triggered(said, points, advice=f"The GPU is paid for and waits: {advice}.", loss=share / 100)


def gpu_rows(profile: Profile) -> list[Usage]:
    """Return the use of the GPUs over the whole job: one row for each host or for each GPU."""
    return [row for row in profile.usage if row.resource == "GPU" or row.resource.startswith("GPU gpu")]


def low_gpu(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether GPUs have little to do."""
    if evidence.profile is None:
        return not_judged(NO_PROFILE)
    system = limits.system
    hosts = snapshots(evidence.profile)
    used, points = _gpu_use(evidence.profile, hosts, limits)
    if not used:
        return not_judged(NO_GPU, points)
    if points < system.waiting.points:
        return not_judged(f"{points} points are too few; {system.waiting.points} are needed.", points)

    def low(use: GpuUse) -> float:
        return use.p5 if system.gpu_low_percentile == 5 else use.p50

    bad = [use for use in used if use.p95 < system.gpu_p95 or low(use) < system.gpu_low]
    named = "; ".join(
        f"{use.host}{use.gpu and ' '}{use.gpu}: p95 {use.p95:.0f} %, median {use.p50:.0f} %"
        for use in (bad or used)[:4]
    )
    whose = "GPUs had" if used[0].gpu else "hosts had GPUs with"
    said = f"{len(bad)} of {len(used)} {whose} little to do ({named})"
    if not bad:
        return quiet(f"{said}.", points)
    idle = sum(1 - min(max(use.p50, 0), 100) / 100 for use in bad) / len(used)
    unused = all(use.p95 <= 0 for use in bad)
    advice = (
        "Nothing was computed on them. Take an instance without a GPU, or let the program use it"
        if unused
        else f"A GPU is paid for by the hour, busy or not: {FASTER}, take a larger batch{_batch(evidence)}, or an instance without a GPU"
    )
    return triggered(
        f"{said}.",
        points,
        advice=f"{advice}.",
        loss=idle,
        episodes=len(bad),
    )


def _gpu_use(profile: Profile, hosts: list[Snapshots], limits: Thresholds) -> tuple[list[GpuUse], int]:
    if hosts:
        return gpu_use(hosts, limits.system)
    if limits.system.waiting.last_points:  # SageMaker's report holds the percentiles of the last scan's window
        held = profile.details
        return (list(held.gpus), held.gpu_points) if held else ([], 0)
    rows = gpu_rows(profile)
    used = [GpuUse(host=row.host, gpu="", p95=row.p95, p50=row.p50, p5=row.minimum) for row in rows]
    return used, min((row.points for row in rows), default=0)


def _batch(evidence: Evidence) -> str:
    """Return the option that doubles the batch size, in parentheses; empty if the job did not run our program."""
    if evidence.run is None:
        return ""
    held = settings.hyperparameters(evidence.run)
    name = "finetune-batch-size" if held.get("finetune-epochs") else "batch-size"
    value = held.get(name)
    return f" (--set {name}={2 * value:g})" if isinstance(value, int | float) else f" (--set {name}=...)"


def batch_size(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether processor, GPUs and GPU memory all have capacity for larger batches."""
    if evidence.profile is None:
        return not_judged(NO_PROFILE)
    hosts = snapshots(evidence.profile)
    points = min((len(host.times) for host in hosts), default=0)
    used = batch_use(hosts, limits.system)
    if not hosts:
        if limits.system.waiting.last_points:
            return not_judged("SageMaker's report keeps the whole job's percentiles, not those of the last points.")
        used, points = _batch_rows(evidence.profile)
    used = [use for use in used if use.gpu_p95]
    if not used:
        return not_judged(NO_GPU, points)
    if points < limits.system.waiting.points:
        return not_judged(f"{points} points are too few; {limits.system.waiting.points} are needed.", points)
    limit = limits.system.batch_p95
    free = [use for use in used if max((use.cpu_p95, *use.gpu_p95, *use.gpu_memory_p95)) < limit]
    named = "; ".join(f"{use.host}: CPU {use.cpu_p95:.0f} %, GPU {max(use.gpu_p95):.0f} %" for use in used[:4])
    said = f"On {len(free)} of {len(used)} hosts the p95 of CPU, GPUs and GPU memory activity is below {limit:g} % ({named})"
    if not free:
        return quiet(f"{said}.", points)
    return triggered(
        f"{said}.",
        points,
        advice=f"Use a larger batch{_batch(evidence)}, or a smaller instance.",
        loss=len(free) / len(used) * (1 - max(max(use.gpu_p95) for use in free) / 100),
        episodes=len(free),
    )


def _batch_rows(profile: Profile) -> tuple[list[BatchUse], int]:
    found, points = [], []
    for host in dict.fromkeys(row.host for row in profile.usage):
        rows = [row for row in profile.usage if row.host == host]
        cpu = next((row for row in rows if row.resource == "CPU"), None)
        gpus = [row for row in rows if row in gpu_rows(profile)]
        if cpu and gpus:
            points.append(cpu.points)
            memory = tuple(row.p95 for row in rows if row.resource.startswith("GPU memory"))
            found.append(
                BatchUse(host=host, cpu_p95=cpu.p95, gpu_p95=tuple(row.p95 for row in gpus), gpu_memory_p95=memory)
            )
    return found, min(points, default=0)
