"""Draws the use of the machines of a job: one timeline for each host and quantity, and a heat map of the cores."""

import numpy as np

from reports.align import mean, together
from reports.page.document import Cell, Chart, Column, Form, Line, Table, table_of
from reports.page.numbers import bands, plain, plain_all, seconds, size
from reports.system import MEASURES, Numbers, Profile, Series, Usage

TIMELINE = 300  # a timeline has at most this many points
COLUMNS = 120  # a heat map has at most this many columns
ROWS = 16  # a heat map has at most this many rows; with more cores, several cores share a row
TIMELINES = {
    "gpu": "GPU use",
    "gpu_memory_used": "GPU memory used",
    "gpu_memory": "GPU memory activity",
    "cpu": "CPU use, mean of the cores",
    "cpu_limit": "CPU use, share of the container's limit",
    "io_wait": "I/O wait, mean of the cores",
    "memory": "Memory in use",
    "receive": "Network received",
    "transmit": "Network sent",
    "disk_read": "Disk read",
    "disk_write": "Disk written",
}
MOST_HOSTS = 8


def usage_tables(profile: Profile) -> list[Table]:
    """Return tables of the use of each resource by each host: maximum, percentiles, median and minimum."""
    rates = [row for row in profile.usage if row.resource.startswith(("Network", "Disk"))]
    sizes = [row for row in profile.usage if row.resource.startswith("GPU memory used")]
    shares = [row for row in profile.usage if row not in rates and row not in sizes]
    return [
        _usage("Use of processors, GPUs and memory (%)", shares, "number"),
        _usage("Network and disk (bytes each second)", rates, "bytes"),
        _usage("GPU memory used (bytes)", sizes, "bytes"),
    ]


def _usage(title: str, rows: list[Usage], form: Form) -> Table:
    return table_of(
        title,
        (
            Column(name="host"),
            Column(name="resource"),
            *(Column(name=name, form=form) for name in ("most", "p99", "p95", "median", "least")),
            Column(name="points", form="number"),
        ),
        [
            [
                row.host,
                row.resource,
                *(plain(value) for value in (row.maximum, row.p99, row.p95, row.p50, row.minimum)),
                row.points,
            ]
            for row in rows
        ],
    )


def machine_charts(profile: Profile) -> list[Chart]:
    """Return the timelines and heat maps of the raw series. The list is empty without raw series."""
    charts = list[Chart]()
    for host in list(dict.fromkeys(one.host for one in profile.series))[:MOST_HOSTS]:
        held = [one for one in profile.series if one.host == host]
        for measure, title in TIMELINES.items():
            members = [one for one in held if one.measure == measure and len(one.times) > 1]
            if members:
                charts.append(_timeline(f"line-{len(charts)}", host, title, members))
        cores = [one for one in held if one.measure == "cpu" and len(one.times) > 1]
        if len(cores) > 1:
            charts.append(_cores(f"cores-{len(charts)}", host, cores))
    return charts


def _timeline(name: str, host: str, title: str, members: list[Series]) -> Chart:
    """Draw one line for each GPU, and the mean of all other devices. The band shows every peak."""
    unit = MEASURES[members[0].measure]
    alone = members[0].measure.startswith("gpu")
    times, table = together(members)
    values = {one.device: row for one, row in zip(members, table, strict=True)}
    if not alone and len(values) > 1:
        values = {f"mean of {len(values)} devices": mean(table)}
    lines, rows = [], list[list[Cell]]()
    places = np.empty(0)
    for device, numbers in values.items():
        places, means, low, high = bands(numbers, TIMELINE)
        lines.append(Line(name=device, values=plain_all(means), low=plain_all(low), high=plain_all(high)))
        known = numbers[~np.isnan(numbers)]
        p50, p95 = np.percentile(known, (50, 95))
        rows.append([device, plain(p95), plain(p50), plain(float(known.max())), plain(float(known.min())), len(known)])
    moments = [float(times[int(place)] - times[0]) for place in places]
    whole = float(times[-1] - times[0])
    said = "; ".join(f"{row[0]}: median {_with_unit(row[2], unit)}, p95 {_with_unit(row[1], unit)}" for row in rows[:8])
    return Chart(
        id=name,
        kind="line",
        title=f"{host}: {title}",
        sentence=f"Over {seconds(whole)}: {said}. The band reaches from the smallest to the largest value of each moment.",
        x=tuple(_clock(moment) for moment in moments),
        x_name="time since the first point",
        y_name=unit,
        lines=tuple(lines),
        table=table_of(
            f"{host}: {title} ({unit})",
            (
                Column(name="device"),
                *(Column(name=column, form="number") for column in ("p95", "median", "most", "least", "points")),
            ),
            rows,
        ),
    )


def _with_unit(value: Cell, unit: str) -> str:
    if not isinstance(value, int | float):
        return "not known"
    if unit.startswith("bytes"):
        return size(value) + unit.removeprefix("bytes")
    return f"{value:.3g} {unit}"


def _clock(moment: float) -> str:
    whole = int(moment)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _cores(name: str, host: str, cores: list[Series]) -> Chart:
    times, table = together(cores)
    groups = np.array_split(np.arange(len(cores)), min(ROWS, len(cores)))
    labels = [cores[group[0]].device + (f" to {cores[group[-1]].device}" if len(group) > 1 else "") for group in groups]
    rows: list[Numbers] = [bands(_largest(table[group]), COLUMNS)[3] for group in groups]
    places = bands(times, COLUMNS)[0]
    busy = (table > 90).sum() / max((~np.isnan(table)).sum(), 1)
    joined = "" if len(groups) == len(cores) else " A row joins several cores and shows the busiest."
    if any("-" in core.device for core in cores):
        joined = " A row of several cores shows their mean."
    return Chart(
        id=name,
        kind="heat",
        title=f"{host}: use of the cores",
        sentence=f"{len(cores)} cores over {seconds(float(times[-1] - times[0]))}: {100 * busy:.0f} % of all points are above "
        f"90 %. Each cell is the largest use in that moment.{joined}",
        x=tuple(_clock(float(times[int(place)] - times[0])) for place in places),
        y=tuple(labels),
        x_name="time since the first point",
        y_name="core",
        cells=tuple(
            (x, y, plain(float(value)) or 0.0)
            for y, row in enumerate(rows)
            for x, value in enumerate(row)
            if not np.isnan(value)
        ),
        table=table_of(
            f"{host}: use of the cores (%)",
            (Column(name="core"), Column(name="mean", form="number"), Column(name="most", form="number")),
            [[one.device, plain(float(one.values.mean())), plain(float(one.values.max()))] for one in cores],
        ),
    )


def _largest(table: Numbers) -> Numbers:
    """Return the largest value at each moment; NaN if no device has a value."""
    held = np.where(np.isnan(table), -np.inf, table).max(axis=0)
    return np.where(np.isinf(held), np.nan, held)
