"""Chooses the training jobs that TrainingJobEarlyStoppingType Auto stops."""

import statistics
from collections.abc import Sequence


def worse_than_median(values: Sequence[float], completed: Sequence[Sequence[float]], maximize: bool) -> bool:
    """Return whether a job's last value is worse than the median of the running averages of jobs that have completed.

    The averages go up to the same epoch (G23 automatic-model-tuning-early-stopping).
    """
    epoch = len(values)
    averages = [statistics.fmean(earlier[:epoch]) for earlier in completed if len(earlier) >= epoch]
    if not averages:
        return False
    median = statistics.median(averages)
    return values[-1] < median if maximize else values[-1] > median
