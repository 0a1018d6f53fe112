"""The verdicts of SageMaker's own rules (profiler-reports/*.json), and what their details let us judge anew."""

from collections.abc import Iterator, Mapping

from reports.sources.values import Fields, number
from reports.system import (
    BatchUse,
    Bottlenecks,
    Details,
    GpuUse,
    Loaders,
    PlatformVerdict,
    StepStatistics,
    Usage,
    Workload,
)

RULES = frozenset(
    {
        "BatchSize",
        "CPUBottleneck",
        "Dataloader",
        "GPUMemoryIncrease",
        "IOBottleneck",
        "LoadBalancing",
        "LowGPUUtilization",
        "MaxInitializationTime",
        "OverallFrameworkMetrics",
        "OverallSystemUsage",
        "StepOutlier",
    }
)
# What the files name "GPU memory" is how busy the memory is.
RENAMED = {"GPU memory": "GPU memory activity", "I/O": "I/O wait", "Network": "Network sent and received"}


def is_verdict(value: Mapping[str, object]) -> bool:
    """Return whether a JSON object has the members of a verdict."""
    return {"RuleTriggered", "Violations", "Details"} <= value.keys()


def verdict(rule: str, value: Fields) -> PlatformVerdict:
    """Return what SageMaker said."""
    pairs = (line.partition(":") for line in value.text("RuleParameters").splitlines())
    return PlatformVerdict(
        rule=rule,
        triggered=value.count("RuleTriggered") or 0,
        violations=value.count("Violations") or 0,
        points=value.count("Datapoints") or 0,
        parameters={name: text for name, _, text in pairs if text},
    )


def usage(value: Fields) -> tuple[Usage, ...]:
    """Return the table of OverallSystemUsage."""
    details, points = value.inside("Details"), value.count("Datapoints") or 0
    found = []
    for resource in details.values:
        hosts = details.inside(resource)
        for host in hosts.values:
            numbers = hosts.inside(host).numbers()
            if {"max", "p99", "p95", "p50", "min"} <= numbers.keys():
                found.append(
                    Usage(
                        host=host,
                        resource=RENAMED.get(resource, resource),
                        maximum=numbers["max"],
                        p99=numbers["p99"],
                        p95=numbers["p95"],
                        p50=numbers["p50"],
                        minimum=numbers["min"],
                        points=points,
                    )
                )
    return tuple(found)


def phases(value: Fields, missing: list[str]) -> dict[str, float]:
    """Return the shares of OverallFrameworkMetrics in percent, which add up to 100."""
    shares = {
        name.removeprefix("Step:ModeKeys."): share
        for name, share in value.inside("Details").inside("phase").numbers().items()
    }
    negative = [name for name, share in shares.items() if share < 0]
    for name in negative:
        missing.append(
            f"SageMaker's report gives {shares.pop(name):.2f} % of the time to {name!r}, which cannot be: its phases "
            "overlap. The other shares are scaled to add up to 100 %."
        )
    total = sum(shares.values())
    return {name: 100 * share / total for name, share in shares.items()} if total > 0 else {}


def operators(value: Fields) -> dict[str, float]:
    """Return the seconds of the operators on the device that spent most on them."""
    details = value.inside("Details")
    named = "GPU_total" if details.inside("GPU_total").numbers() else "CPU_total"
    return {name: microseconds / 1e6 for name, microseconds in details.inside(named).numbers().items()}


def steps(value: Fields) -> tuple[StepStatistics, ...]:
    """Return the durations of StepOutlier, by node and phase."""
    details = value.inside("Details").inside("step_details")
    found = []
    for node in details.values:
        held = details.inside(node)
        stats = held.inside("step_stats").numbers()
        counts = [count for item in held.items("probs") if (count := number(item)) is not None]
        if {"mean", "p50", "p95", "max"} <= stats.keys():
            found.append(
                StepStatistics(
                    node=node,
                    phase=held.text("phase").removeprefix("Step:ModeKeys.") or "step",
                    count=int(sum(counts)) + (held.count("number_of_outliers") or 0),
                    mean=stats["mean"],
                    p50=stats["p50"],
                    p95=stats["p95"],
                    maximum=stats["max"],
                    outliers=held.count("number_of_outliers") or 0,
                )
            )
    return tuple(found)


def details(files: Mapping[str, Fields]) -> Details:
    """Return what the verdicts' details counted, by name of the rule."""

    def inside(rule: str) -> Fields:
        return files[rule].inside("Details") if rule in files else Fields({})

    low = inside("LowGPUUtilization")
    return Details(
        cpu=_bottlenecks(files.get("CPUBottleneck")),
        disk=_bottlenecks(files.get("IOBottleneck")),
        gpus=tuple(_gpus(low)),
        gpu_points=(files["LowGPUUtilization"].count("Datapoints") or 0) if "LowGPUUtilization" in files else 0,
        batch=tuple(_batch(inside("BatchSize"))),
        memory_increase={
            f"{host} {gpu}": grown
            for host, gpu, held in _devices(inside("GPUMemoryIncrease"))
            if (grown := held.number("increase")) is not None
        },
        workloads=tuple(_workloads(inside("LoadBalancing"))),
        loaders=_loaders(inside("Dataloader")),
        first_step_seconds=_first_step(inside("MaxInitializationTime")),
    )


def _bottlenecks(value: Fields | None) -> Bottlenecks | None:
    if value is None or not (points := value.count("Datapoints")):
        return None
    idle = value.inside("Details").count("low_gpu_utilization") or 0
    return Bottlenecks(starved=value.count("Violations") or 0, idle_gpu=idle, snapshots=points)


def _devices(held: Fields) -> Iterator[tuple[str, str, Fields]]:
    """Yield host, device and members; some details name hosts, beside members that are none."""
    for host in held.values:
        devices = held.inside(host)
        for device in devices.values:
            if devices.inside(device).values:
                yield host, device, devices.inside(device)


def _gpus(held: Fields) -> Iterator[GpuUse]:
    for host, gpu, members in _devices(held):
        numbers = members.numbers()
        if {"gpu_95", "gpu_5", "p50"} <= numbers.keys():
            yield GpuUse(host=host, gpu=gpu, p95=numbers["gpu_95"], p50=numbers["p50"], p5=numbers["gpu_5"])


def _batch(held: Fields) -> Iterator[BatchUse]:
    for host in held.values:
        p95 = {device: found for device in held.inside(host).values if (found := _p95(held, host, device)) is not None}
        if "cpu" in p95:
            yield BatchUse(
                host=host,
                cpu_p95=p95["cpu"],
                gpu_p95=tuple(value for name, value in p95.items() if _is_gpu(name, memory=False)),
                gpu_memory_p95=tuple(value for name, value in p95.items() if _is_gpu(name, memory=True)),
            )


def _p95(held: Fields, host: str, device: str) -> float | None:
    return held.inside(host).inside(device).number("p95")


def _is_gpu(name: str, *, memory: bool) -> bool:
    return name.startswith("gpu") and ("memory" in name) == memory


def _workloads(held: Fields) -> Iterator[Workload]:
    for host in held.values:
        gpus = held.inside(host).inside("workloads")
        for gpu in gpus.values:
            counts = [count for item in gpus.items(gpu) if (count := number(item)) is not None]
            if counts:
                yield Workload(host=host, gpu=gpu, counts=tuple(map(int, counts)))


def _loaders(held: Fields) -> Loaders | None:
    workers, cores = held.count("num_workers"), held.count("cores")
    if workers is None or not cores:
        return None
    return Loaders(workers=workers, cores=cores, seconds_p50=held.inside("dataloading_time").number("p50"))


def _first_step(held: Fields) -> float | None:
    first, start = held.inside("step_num").number("first"), held.number("job_start")
    return None if first is None or start is None else first / 1e6 - start
