"""Builds the section "Time and system": the parts of the job, the steps, and the use of processors, GPUs, memory, disk and network."""

import numpy as np

from reports.facts import Run
from reports.page.document import Chart, Column, Line, Section, Table, table_of
from reports.page.machines import machine_charts, usage_tables
from reports.page.numbers import plain, plain_all, seconds
from reports.page.shares import shares
from reports.page.steps import longest_steps, step_charts
from reports.rules.stages import stages
from reports.rules.steps import step_statistics
from reports.rules.verdict import Evidence
from reports.system import Profile

BINS = 40  # bins of a histogram of durations
OPERATORS = 15


def time_section(evidence: Evidence) -> Section:
    """Return the section on time and machines."""
    run, profile = evidence.run, evidence.profile
    charts = [_parts(run), _phases(profile), *step_charts(run), *_durations(run), _operators(profile)]
    if profile:
        charts += machine_charts(profile)
    tables = [_steps(evidence), longest_steps(run), *(usage_tables(profile) if profile else ())]
    missing = []
    if profile is None:
        missing.append(
            "No system metrics were recorded: there is no system-HOST.jsonl beside the records, and no output of SageMaker's profiler."
        )
    elif not profile.series:
        missing.append("Without the raw system metrics, the report shows only the table of use, no values over time.")
    resources = [row.resource for row in profile.usage] if profile else []
    if any(name.startswith("GPU memory activity") for name in resources) and not any(
        name.startswith("GPU memory used") for name in resources
    ):
        missing.append("GPU memory activity is how busy the memory was. How full it was is not recorded.")
    return Section(
        id="time",
        title="Time and system",
        facts=tuple(_facts(run)),
        charts=tuple(chart for chart in charts if chart),
        tables=tuple(table for table in tables if table.rows),
        missing=tuple(missing),
    )


def _facts(run: Run | None) -> list[tuple[str, str]]:
    if run is None:
        return []
    found = []
    if total := run.part_seconds.get("total"):
        found.append(("Whole job", seconds(total)))
    elif run.job and run.job.started and run.last_time and run.last_time > run.job.started:
        found.append(("Until the last record", seconds(run.last_time - run.job.started)))
    stepping = sum(epoch.seconds or 0 for epoch in run.epochs)
    waited = sum((epoch.seconds or 0) * (epoch.data_wait_share or 0) for epoch in run.epochs)
    if stepping:
        found.append(("In steps", f"{seconds(stepping)}, of which {100 * waited / stepping:.0f} % waiting for photos"))
    speeds = [epoch.images_per_second for epoch in run.epochs if epoch.images_per_second]
    if speeds:
        found.append(("Photos per second", f"{np.median(speeds):,.0f} (median of the epochs)"))
    if run.peak_memory_bytes:
        found.append(("Most memory", f"{run.peak_memory_bytes / 1e9:.2f} GB of the training process"))
    return found


def _parts(run: Run | None) -> Chart | None:
    """Draw the parts of a job. The time that no part covers is the part "rest", so that all parts add up to 100 %."""
    held = dict(run.part_seconds) if run else {}
    whole, covered = held.pop("total", 0.0), sum(held.values())
    # If the parts take longer than the whole, the records are damaged, and a sentence in `missing` says so.
    total = max(whole, covered)
    parts = [(name, value) for name, value in held.items() if value > 0]
    if not parts or not total > 0:
        return None
    rest = total - covered
    if rest > 0.001 * total:
        parts.append(("rest", rest))
    name, most = max(parts, key=lambda part: part[1])
    return shares(
        "parts",
        "Parts of the job",
        f"Most of the time, {100 * most / total:.0f} % or {seconds(most)}, went into {name}. The parts add up to 100 %.",
        parts,
        in_seconds=True,
    )


def _phases(profile: Profile | None) -> Chart | None:
    if profile is None or not profile.phases:
        return None
    name, most = max(profile.phases.items(), key=lambda item: item[1])
    return shares(
        "phases",
        "Phases of training",
        f"Most of the traced time, {most:.0f} %, went into {name}. The phases add up to 100 %.",
        list(profile.phases.items()),
        in_seconds=False,
    )


def _durations(run: Run | None) -> list[Chart]:
    found = list[Chart]()
    for stage, epochs in (stages(run) if run else {}).items():
        times = np.array([second for epoch in epochs for second in epoch.step_seconds])
        if len(times) < 2:
            continue
        least, longest = float(times.min()), float(times.max())
        bins = min(BINS, len(times)) if longest > least else 1
        counts, edges = np.histogram(times, bins=bins, range=(least, longest if longest > least else least + 1e-6))
        labels = tuple(seconds(float(edge)) for edge in edges[:-1])
        p50, p99 = np.percentile(times, (50, 99))
        found.append(
            Chart(
                id=f"durations-{len(found)}",
                kind="bar",
                title=f"Duration of the steps of {stage}",
                sentence=f"{len(times):,} steps: half of them took {seconds(float(p50))} or less, one in a hundred "
                f"{seconds(float(p99))} or more, the longest {seconds(longest)}.",
                x=labels,
                x_name="duration, from",
                y_name="steps",
                lines=(Line(name="steps", values=plain_all(counts.astype(float))),),
                table=table_of(
                    f"Duration of the steps of {stage}",
                    (
                        Column(name="from", form="seconds"),
                        Column(name="to", form="seconds"),
                        Column(name="steps", form="number"),
                    ),
                    [
                        [float(edges[place]), float(edges[place + 1]), int(count)]
                        for place, count in enumerate(counts)
                        if count
                    ],
                ),
            )
        )
    return found


def _operators(profile: Profile | None) -> Chart | None:
    held = sorted(profile.operators.items(), key=lambda item: -item[1])[:OPERATORS] if profile else []
    if not held:
        return None
    name, most = held[0]
    return Chart(
        id="operators",
        kind="interval",
        title="Operators",
        sentence=f"Most of the time went into {name}: {seconds(most)} in all. An operator's time includes the operators that it calls.",
        x=tuple(label for label, _ in held),
        x_name="seconds",
        lines=(Line(name="seconds", values=tuple(plain(value) for _, value in held)),),
        table=table_of("Operators", (Column(name="operator"), Column(name="time", form="seconds")), held),
    )


def _steps(evidence: Evidence) -> Table:
    return table_of(
        "Steps by node and phase",
        (
            Column(name="node"),
            Column(name="phase"),
            Column(name="steps", form="number"),
            Column(name="mean", form="seconds"),
            Column(name="median", form="seconds"),
            Column(name="p95", form="seconds"),
            Column(name="longest", form="seconds"),
            Column(name="above mean + 3 sigma", form="number"),
        ),
        [
            [one.node, one.phase, one.count, one.mean, one.p50, one.p95, one.maximum, one.outliers]
            for one in step_statistics(evidence, sigma=3)
        ],
    )
