"""Brings the series of several devices to the same moments. It makes up no values where a device has none."""

import numpy as np

from reports.system import Numbers, Series

TOGETHER = 0.25  # points at most so many seconds apart belong to one moment; the profiler takes one every 0.5 s


def nearest(times: Numbers, one: Series, within: float) -> Numbers:
    """Return the value of the point nearest to each of `times`, NaN where it is more than `within` seconds away."""
    right = np.clip(np.searchsorted(one.times, times), 0, len(one.times) - 1)
    left = np.clip(right - 1, 0, None)
    chosen = np.where(abs(one.times[right] - times) < abs(one.times[left] - times), right, left)
    return np.where(abs(one.times[chosen] - times) <= within, one.values[chosen], np.nan)


def together(members: list[Series]) -> tuple[Numbers, Numbers]:
    """Return the moments of all devices, and a table [devices, moments] with NaN where a device has no value."""
    times = np.unique(np.concatenate([one.times for one in members]))
    # Points of several devices that lie close together are one moment; in a short job our own points are only 0.1 s apart.
    apart = min([TOGETHER, *(0.5 * float(np.median(steps)) for one in members if len(steps := np.diff(one.times)))])
    first = np.concatenate(([True], np.diff(times) > apart))
    moments = times[first]
    gaps = np.diff(members[0].times)
    within = max(TOGETHER, 0.6 * float(np.median(gaps))) if len(gaps) else TOGETHER
    return moments, np.stack([nearest(moments, one, within) for one in members])


def mean(table: Numbers) -> Numbers:
    """Return the mean of the devices that have a value at each moment; each moment has one at least."""
    counts = (~np.isnan(table)).sum(axis=0)
    return np.asarray(np.nansum(table, axis=0) / np.maximum(counts, 1))
