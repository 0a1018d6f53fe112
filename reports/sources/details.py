"""Reads the counts in the details of SageMaker's verdicts, so that our rules can judge a job whose raw metrics are missing."""

from collections.abc import Iterator, Mapping

from reports.sources.values import Fields, number
from reports.system import BatchUse, Bottlenecks, Details, GpuUse, Loaders, Workload


def details(files: Mapping[str, Fields]) -> Details:
    """Return the counts in the details of SageMaker's verdicts. `files` holds the content of each verdict's file by the rule's name."""

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
    """Yield host, device and members. Members of the details that are not hosts are skipped."""
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
            items = gpus.items(gpu)
            # A bin that holds no count leaves the whole histogram out, because the other bins would move.
            counts = [count for item in items if (count := number(item)) is not None and count >= 0]
            if counts and len(counts) == len(items):
                yield Workload(host=host, gpu=gpu, counts=tuple(map(int, counts)))


def _loaders(held: Fields) -> Loaders | None:
    workers, cores = held.count("num_workers"), held.count("cores")
    if workers is None or not cores:
        return None
    return Loaders(workers=workers, cores=cores, seconds_p50=held.inside("dataloading_time").number("p50"))


def _first_step(held: Fields) -> float | None:
    first, start = held.inside("step_num").number("first"), held.number("job_start")
    return None if first is None or start is None else first / 1e6 - start
