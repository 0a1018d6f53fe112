"""Rules that compare GPUs: LoadBalancing, GPUMemoryIncrease."""

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np

from reports.rules.snapshots import largest_increase, snapshots, workloads
from reports.rules.starving import NO_GPU, NO_PROFILE
from reports.rules.thresholds import Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered
from reports.system import Series, Workload


def load_balancing(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether some GPUs work while others idle."""
    if evidence.profile is None:
        return not_judged(NO_PROFILE)
    hosts = snapshots(evidence.profile)
    details = evidence.profile.details
    held: Sequence[Workload] = workloads(hosts) if hosts else (details.workloads if details else ())
    if not held:
        return not_judged(NO_GPU)
    points = min(sum(one.counts) for one in held)
    if len(held) < 2:
        return not_judged("There is only one GPU.", points)
    if points < limits.system.waiting.points:
        return not_judged(f"{points} points are too few; {limits.system.waiting.points} are needed.", points)
    apart = {(a, b): distance(a.counts, b.counts) for a, b in combinations(held, 2) if len(a.counts) == len(b.counts)}
    if not apart:
        return not_judged("The histograms of the GPUs have different bins.", points)
    (one, other), most = max(apart.items(), key=lambda item: item[1])
    said = (
        f"Of {len(held)} GPUs, {one.host} {one.gpu} and {other.host} {other.gpu} differ most: distance {most:.3f} "
        "between their histograms of use (0: the same, 0.83: nothing in common)"
    )
    if most <= limits.system.balance:
        return quiet(f"{said}.", points)
    bad = sum(value > limits.system.balance for value in apart.values())
    return triggered(
        f"{said}; {bad} pairs differ by more than {limits.system.balance:g}.",
        points,
        advice="Share the photos evenly over the GPUs; if one host is slower, take instances of one type.",
        loss=most / math.sqrt(math.log(2)),
        episodes=bad,
    )


def _growth(used: Sequence[Series], limits: Thresholds) -> Verdict:
    """Judge whether the bytes in use grow through the run: from the second fifth to the third, to the fourth and to the last.

    A single increase, as at the start of a second stage that needs more memory, is not growth.
    """
    points = min(len(one.values) for one in used)
    if points < limits.system.waiting.points:
        return not_judged(f"{points} points are too few; {limits.system.waiting.points} are needed.", points)
    grown = {}
    for one in used:
        means = [float(part.mean()) for part in np.array_split(one.values, 5)[1:]]
        rising = all(later > earlier for earlier, later in pairwise(means))
        growth = means[-1] / means[0] - 1 if rising and means[0] else 0.0
        grown[f"{one.host} {one.device}"] = growth, means[0], means[-1]
    gpu, (most, before, after) = max(grown.items(), key=lambda item: item[1][0])
    said = f"The memory in use of {gpu} was {before / 1e9:.2f} GB early in the run, and {after / 1e9:.2f} GB at its end"
    if most <= limits.system.memory_growth:
        return quiet(f"{said}.", points)
    return triggered(
        f"{said}.",
        points,
        advice="Memory that grows from step to step becomes full: look for tensors that are kept, such as losses with their graphs.",
        loss=0.3,
        episodes=sum(growth > limits.system.memory_growth for growth, _, _ in grown.values()),
    )


def distance(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the square root of the Jensen-Shannon divergence of two histograms, with natural logarithms."""
    total_first, total_second = sum(first), sum(second)
    if not total_first or not total_second:
        return 0.0
    divergence = 0.0
    for one, other in zip(first, second, strict=True):
        a, b = one / total_first, other / total_second
        middle = (a + b) / 2
        divergence += (a * math.log(a / middle) if a else 0) / 2 + (b * math.log(b / middle) if b else 0) / 2
    return math.sqrt(max(divergence, 0.0))


def memory_increase(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether GPU memory grows: by the bytes in use if they are recorded, else, as SageMaker does, by how busy the memory is."""
    if evidence.profile is None:
        return not_judged(NO_PROFILE)
    used = [one for one in evidence.profile.series if one.measure == "gpu_memory_used"]
    if used:
        return _growth(used, limits)
    if evidence.profile.series and not any(one.measure.startswith("gpu") for one in evidence.profile.series):
        return not_judged(NO_GPU)
    if limits.system.memory_increase is None:
        return not_judged(
            "The platform records how busy GPU memory is, not how full; this cannot show whether memory grows."
        )
    hosts = snapshots(evidence.profile)
    grown, points = largest_increase(hosts, limits.system.memory_window)
    if not hosts and evidence.profile.details:
        grown, points = dict(evidence.profile.details.memory_increase), evidence.profile.details.gpu_points
        if not grown and points:
            return quiet("SageMaker's report names no GPU whose memory activity grew.", points)
    if points < limits.system.waiting.points:
        return not_judged(f"{points} points are too few; {limits.system.waiting.points} are needed.", points)
    if not grown:
        return not_judged(NO_GPU, points)
    gpu, most = max(grown.items(), key=lambda item: item[1])
    said = f"Memory activity of {gpu} grew by {most:.1f} percentage points from one window to the next"
    if most <= limits.system.memory_increase:
        return quiet(f"{said}.", points)
    return triggered(
        f"{said}.",
        points,
        advice="This is how busy the memory was. Look on the machine whether the memory fills up.",
        loss=0.05,
        episodes=len(grown),
    )
