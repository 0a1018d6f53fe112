"""Formats numbers for people, and shortens long series."""

import math
from collections.abc import Sequence

import numpy as np

from reports.page.document import Cell, Form
from reports.rules.cost import Cost
from reports.system import Numbers

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def show(value: Cell, form: Form) -> str:
    """Return a cell as text. An unknown value is a dash."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, str):
        return value
    match form:
        case "percent":
            return f"{100 * value:.1f} %"
        case "seconds":
            return seconds(value)
        case "bytes":
            return size(value)
        case _:
            return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def seconds(value: float) -> str:
    """Return a duration as text, in ms, s, min or h."""
    if abs(value) < 1:
        return f"{1000 * value:.3g} ms"
    if abs(value) < 120:
        return f"{value:.3g} s"
    minutes = value / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def money(amount: float, currency: str) -> str:
    """Return an amount of money as text. Amounts below 0.1 have two significant digits."""
    return f"{amount:.2f} {currency}" if amount >= 0.1 or amount == 0 else f"{amount:.2g} {currency}"


def cost(one: Cost) -> str:
    """Return a cost as text: the time on each instance, and the money if it is known."""
    each = f" on each of {one.instances} instances" if one.instances > 1 else ""
    time = f"{seconds(one.seconds)}{each}"
    return time if one.money is None else f"{money(one.money, one.currency)} ({time})"


def size(value: float) -> str:
    """Return a number of bytes as text, in decimal units."""
    place = 0
    while abs(value) >= 1000 and place < len(UNITS) - 1:
        value, place = value / 1000, place + 1
    return f"{value:.3g} {UNITS[place]}"


def share(hits: float, interval: tuple[float, float] | None) -> str:
    """Return a share as text in percent, with its 95 % interval if there is one."""
    said = f"{100 * hits:.1f} %"
    return f"{said} (95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %)" if interval else said


def plain(value: float | None) -> float | None:
    """Return a number rounded to five significant digits for a chart; None if it is not finite, because JSON cannot hold it."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def plain_all(values: Sequence[float | None] | Numbers) -> tuple[float | None, ...]:
    """Return the numbers rounded by `plain`."""
    return tuple(plain(None if value is None else float(value)) for value in values)


def bands(values: Numbers, most: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Divide values into at most `most` groups of neighbours. Return first index, mean, minimum and maximum of each group.

    Unknown values (NaN) are left out. A group with only unknown values gives NaN.
    """
    count = len(values)
    edges = np.unique(np.linspace(0, count, min(most, count) + 1).astype(int))
    starts, known = edges[:-1], ~np.isnan(values)
    counts = np.add.reduceat(known, starts, dtype=int)
    means = np.add.reduceat(np.where(known, values, 0.0), starts) / np.maximum(counts, 1)
    low = np.minimum.reduceat(np.where(known, values, np.inf), starts)
    high = np.maximum.reduceat(np.where(known, values, -np.inf), starts)
    means, low, high = (np.where(counts > 0, part, np.nan) for part in (means, low, high))
    return starts.astype(float), means, low, high
