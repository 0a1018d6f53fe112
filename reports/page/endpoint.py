"""Builds the section "Endpoint": invocations, errors, latency by part, the use of the machine, and events."""

from collections.abc import Callable, Sequence

import numpy as np

from reports.page.document import Cell, Chart, Column, Line, Section, Table, table_of
from reports.page.job import moment
from reports.page.numbers import bands, plain, plain_all, seconds, size
from reports.sources.endpoint import Endpoint, Latency, Measure, Variant
from reports.system import Numbers

POINTS = 300  # a chart has at most this many points
ROWS = 500  # the table of a chart has at most this many rows
EVENTS = 100  # the newest events, at most this many, are listed
CODES = 50
MILLI = 1000.0
# Measure, title, unit, and the divisor that converts the values to the unit.
USES: tuple[tuple[Measure, str, str, float], ...] = (
    ("cpu", "Processor use", "% of one core", 1.0),
    ("memory", "Memory in use", "%", 1.0),
    ("memory_bytes", "Resident memory", "GB", 1e9),
    ("disk", "Disk in use", "%", 1.0),
    ("gpu", "GPU use", "% of one GPU", 1.0),
    ("gpu_memory", "GPU memory in use", "% of one GPU", 1.0),
    ("workers", "Workers that can answer", "workers", 1.0),
    ("concurrent", "Most requests at a time", "requests", 1.0),
)


def endpoint_section(endpoint: Endpoint) -> Section:
    """Return the section on an endpoint."""
    facts = [("Endpoint", endpoint.name), ("Read from", endpoint.source), ("Covers", endpoint.covers), *endpoint.facts]
    charts, tables = list[Chart](), list[Table]()
    several = len(endpoint.variants) > 1
    for place, variant in enumerate(endpoint.variants):
        label = f"{variant.name}: " if several else ""
        facts += [(f"{label}{name}", value) for name, value in variant_facts(variant)]
        charts += _charts(variant, f"endpoint-{place}", label)
        tables += [_latencies(variant, label), _codes(variant, label)]
    events = sorted(endpoint.events, key=lambda event: -event.time)
    columns = (Column(name="time"), Column(name="event"))
    shown = [[moment(event.time), event.text] for event in events[:EVENTS]]
    tables.append(table_of("What happened to the endpoint", columns, shown))
    more = [f"{len(events) - EVENTS} earlier events are not listed."] if len(events) > EVENTS else []
    return Section(
        id="endpoint",
        title="Endpoint",
        facts=tuple(facts),
        charts=tuple(charts),
        tables=tuple(table for table in tables if table.rows),
        notes=endpoint.notes if endpoint.variants else (),
        notes_title="How to read the numbers",
        missing=(*endpoint.missing, *more),
    )


def endpoint_words(endpoint: Endpoint) -> str:
    """Return one sentence on the number of requests and the share of errors."""
    counts = [count for one in endpoint.variants if (count := one.total("invocations")) is not None]
    if not sum(counts):
        return "The endpoint got no request in the time that the report covers."
    errors = sum((one.total("errors_4xx") or 0) + (one.total("errors_5xx") or 0) for one in endpoint.variants)
    share = f"{100 * errors / sum(counts):.2g} % of them errors" if errors else "none of them an error"
    total = f"{sum(counts):,.0f}"
    return f"The endpoint got {total} {'request' if total == '1' else 'requests'}, {share}."


def variant_facts(variant: Variant) -> list[tuple[str, str]]:
    """Return the facts on a variant: pairs of a name and a value as text."""
    found = []
    invocations = variant.total("invocations")
    if invocations is not None:
        found.append(("Invocations", f"{invocations:,.0f}"))
    names: dict[str, Measure] = {
        "Errors 4xx": "errors_4xx",
        "Errors 5xx": "errors_5xx",
        "Errors of the model": "model_errors",
    }
    for name, measure in names.items():
        if (errors := variant.total(measure)) is not None:
            share = f" ({100 * errors / invocations:.2g} %)" if invocations and errors else ""
            found.append((name, f"{errors:,.0f}{share}"))
    if variant.latencies:
        found.append(("Latency", latency_words(variant.latencies[0])))
    if variant.cold:
        count = "" if variant.cold.count is None else f"{variant.cold.count:,} {variant.cold.about}"
        longest = "" if variant.cold.longest is None else seconds(variant.cold.longest)
        words = f"{count}, the longest {longest}" if count and longest else count or f"{longest} {variant.cold.about}"
        found.append(("Cold starts", words))
    memory = variant.held("memory_bytes")
    if memory is not None:
        found.append(("Most memory", size(float(np.nanmax(memory)))))
    return found


def latency_words(latency: Latency) -> str:
    """Return the percentiles of one part in words."""
    named = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99, "mean": latency.mean, "most": latency.maximum}
    held = [f"{name} {seconds(value)}" for name, value in named.items() if value is not None]
    return f"{latency.part}: {', '.join(held) or 'no request yet'}"


def _charts(variant: Variant, name: str, label: str) -> list[Chart]:
    if len(variant.times) < 2:
        return []
    charts = [_traffic(variant, f"{name}-traffic", label)]
    for share, values in (("p50", [one.p50 for one in variant.courses]), ("p99", [one.p99 for one in variant.courses])):
        lines = {
            one.part: MILLI * course
            for one, course in zip(variant.courses, values, strict=True)
            if not np.isnan(course).all()
        }
        chart = _chart(
            variant,
            f"{name}-{share}",
            f"{label}Latency by part, {share}",
            "ms",
            lines,
            lambda part, held: f"{part} {np.nanmedian(held):.3g} ms, at most {np.nanmax(held):.3g} ms",
        )
        charts.append(chart)
    for measure, title, unit, divisor in USES:
        values_of = variant.held(measure)
        lines = {} if values_of is None else {title.lower(): values_of / divisor}
        charts.append(_chart(variant, f"{name}-{measure}", f"{label}{title}", unit, lines, _ordinary(unit)))
    return [chart for chart in charts if chart]


def _ordinary(unit: str) -> Callable[[str, Numbers], str]:
    return lambda _, held: f"median {np.nanmedian(held):.3g} {unit}, most {np.nanmax(held):.3g}"


def _traffic(variant: Variant, name: str, label: str) -> Chart | None:
    measures: tuple[tuple[str, Measure], ...] = (
        ("invocations", "invocations"),
        ("errors 4xx", "errors_4xx"),
        ("errors 5xx", "errors_5xx"),
        ("errors of the model", "model_errors"),
    )
    lines = {}
    for line, measure in measures:
        values = variant.held(measure)
        if values is not None:
            lines[line] = 60 * np.nan_to_num(values) / variant.seconds  # a period without a value had no request
    return _chart(
        variant,
        name,
        f"{label}Invocations and errors",
        "a minute",
        lines,
        lambda line, held: f"{line} {held.mean():.3g} a minute, at most {held.max():.3g}",
    )


def _chart(
    variant: Variant,
    name: str,
    title: str,
    unit: str,
    lines: dict[str, Numbers],
    words: Callable[[str, Numbers], str],
) -> Chart | None:
    """Return a chart with one line for each of `lines` over the time of the variant; None without lines.

    `words` describes a line from its name and values. The function has six parameters because the charts differ in all of them.
    """
    if not lines:
        return None
    drawn, means_of = [], dict[str, Numbers]()
    places = np.empty(0)
    for line, values in lines.items():
        places, means, low, high = bands(values, POINTS)
        joined = len(places) < len(values)
        band = {"low": plain_all(low), "high": plain_all(high)} if joined else {}
        drawn.append(Line(name=line, values=plain_all(means), **band))
        means_of[line] = means
    clock = [moment(float(variant.times[int(place)])).removesuffix(" UTC") for place in places]
    whole = float(variant.times[-1] - variant.times[0] + variant.seconds[-1])
    rows: list[list[Cell]] = [
        [time, *(plain(float(means[place])) for means in means_of.values())] for place, time in enumerate(clock[:ROWS])
    ]
    said = "; ".join(words(line, values) for line, values in lines.items())
    return Chart(
        id=name,
        kind="line",
        title=title,
        sentence=f"Over {seconds(whole)}: {said}.",
        x=tuple(time[11:] if whole < 86_400 else time[5:16] for time in clock),
        x_name="time, UTC",
        y_name=unit,
        lines=tuple(drawn),
        table=table_of(
            f"{title} ({unit})",
            (Column(name="from, UTC"), *(Column(name=line, form="number") for line in lines)),
            rows,
        ),
    )


def _latencies(variant: Variant, label: str) -> Table:
    return table_of(
        f"{label}Latency by part",
        (
            Column(name="part"),
            Column(name="requests", form="number"),
            *(Column(name=name, form="seconds") for name in ("mean", "p50", "p90", "p99", "most")),
        ),
        [
            [one.part, int(one.count), one.mean, one.p50, one.p90, one.p99, one.maximum]
            for one in variant.latencies
            if one.count
        ],
    )


def _codes(variant: Variant, label: str) -> Table:
    total = sum(variant.codes.values())
    rows: Sequence[Sequence[Cell]] = [
        [code, int(count), count / total] for code, count in list(variant.codes.items())[:CODES] if total
    ]
    return table_of(
        f"{label}Answers by status code",
        (Column(name="code"), Column(name="requests", form="number"), Column(name="share", form="percent")),
        rows,
    )
