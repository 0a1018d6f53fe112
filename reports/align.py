"""Aligns the series of several devices to common moments. Where a device has no value, the result is NaN, never an interpolated value."""

import numpy as np

from reports.system import Numbers, Series

TOGETHER = 0.25  # seconds; points at most this far apart belong to one moment (the profiler takes a point every 0.5 s)


def nearest(times: Numbers, one: Series, within: float) -> Numbers:
    """Return, for each of `times`, the value of the nearest point; NaN if that point is more than `within` seconds away."""
    right = np.clip(np.searchsorted(one.times, times), 0, len(one.times) - 1)
    left = np.clip(right - 1, 0, None)
    chosen = np.where(abs(one.times[right] - times) < abs(one.times[left] - times), right, left)
    return np.where(abs(one.times[chosen] - times) <= within, one.values[chosen], np.nan)


def together(members: list[Series]) -> tuple[Numbers, Numbers]:
    """Return the moments of all devices, and a table [devices, moments] with NaN where a device has no value."""
    times = np.unique(np.concatenate([one.times for one in members]))
    # Points closer together than `apart` are one moment. In a short job, training takes a point every 0.1 s, so 0.25 s is too much.
    apart = min([TOGETHER, *(0.5 * float(np.median(steps)) for one in members if len(steps := np.diff(one.times)))])
    first = np.concatenate(([True], np.diff(times) > apart))
    moments = times[first]
    gaps = np.diff(members[0].times)
    within = max(TOGETHER, 0.6 * float(np.median(gaps))) if len(gaps) else TOGETHER
    return moments, np.stack([nearest(moments, one, within) for one in members])


def mean(table: Numbers) -> Numbers:
    """Return the mean at each moment, over the devices that have a value then. At least one device must have a value."""
    counts = (~np.isnan(table)).sum(axis=0)
    return np.asarray(np.nansum(table, axis=0) / np.maximum(counts, 1))
