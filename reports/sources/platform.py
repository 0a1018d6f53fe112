"""Reads the verdicts of SageMaker's own rules (profiler-reports/*.json), and the tables in their files."""

from collections.abc import Mapping

from reports.sources.values import Fields, number
from reports.system import PlatformVerdict, StepStatistics, Usage

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
# The "GPU memory" of these files is how busy the memory is, not how full.
RENAMED = {"GPU memory": "GPU memory activity", "I/O": "I/O wait", "Network": "Network sent and received"}


def is_verdict(value: Mapping[str, object]) -> bool:
    """Return True if a JSON object has the members of a verdict."""
    return {"RuleTriggered", "Violations", "Details"} <= value.keys()


def verdict(rule: str, value: Fields) -> PlatformVerdict:
    """Return the verdict of one of SageMaker's own rules from the content of its file."""
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
    """Return the shares of OverallFrameworkMetrics in percent. Their sum is 100."""
    shares = {
        name.removeprefix("Step:ModeKeys."): share
        for name, share in value.inside("Details").inside("phase").numbers().items()
    }
    negative = [name for name, share in shares.items() if share < 0]
    for name in negative:
        missing.append(
            f"SageMaker's report gives {shares.pop(name):.2f} % of the time to {name!r}, which is impossible: its "
            "phases overlap. The other shares are scaled to a sum of 100 %."
        )
    total = sum(shares.values())
    return {name: 100 * share / total for name, share in shares.items()} if total > 0 else {}


def operators(value: Fields) -> dict[str, float]:
    """Return the seconds of the operators on GPUs; on processors if the file holds no GPU."""
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
