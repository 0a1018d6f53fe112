"""Draws the measured steps of training, the passes through the backbone and the traced operators."""

import numpy as np

from reports.facts import Run
from reports.measured import PARTS, StepTimes
from reports.page.document import Cell, Chart, Column, Line, Table, table_of
from reports.page.numbers import plain, seconds
from reports.page.shares import shares

LONGEST = 12  # the table has at most this many steps
OPERATORS = 15  # a chart shows at most this many operators; its table has all
CLOCKS = {"gpu": " The forward and the backward pass, the exchange and the optimizer are timed by the GPU's own clock."}


def step_charts(run: Run | None) -> list[Chart]:
    """Return charts of the time by part: for the steps of each stage, for the passes, and for the operators of traced steps."""
    if run is None:
        return []
    charts = [_parts(place, one) for place, one in enumerate(run.measured.steps)]
    charts += [_passes(run, stage) for stage in dict.fromkeys(one.stage for one in run.measured.passes)]
    charts += [_operators(run, stage) for stage in dict.fromkeys(one.stage for one in run.measured.traces)]
    return [chart for chart in charts if chart]


def _parts(place: int, one: StepTimes) -> Chart | None:
    """Draw the parts of a stage's steps. The time that no part covers is the part "rest"."""
    whole = float(np.nansum(one.seconds))
    parts = [(label, float(np.nansum(one.parts[name]))) for name, label in PARTS.items()]
    parts = [(label, value) for label, value in parts if value > 0]
    covered = sum(value for _, value in parts)
    if not parts or not whole > 0:
        return None
    if whole > covered:
        parts.append(("rest", whole - covered))
    name, most = max(parts, key=lambda part: part[1])
    share = 100 * most / sum(value for _, value in parts)
    return shares(
        f"step-parts-{place}",
        f"Parts of the steps of {one.stage}",
        f"The {len(one.seconds):,} steps took {seconds(whole)}. Most of this time went into {name}: {share:.0f} % or {seconds(most)}."
        + CLOCKS.get(one.clock, ""),
        parts,
        in_seconds=True,
    )


def _passes(run: Run, stage: str) -> Chart | None:
    held = [one for one in run.measured.passes if one.stage == stage]
    parts = [
        ("reading and decoding", sum(one.read for one in held)),
        ("moving to the device", sum(one.move for one in held)),
        ("forward", sum(one.forward for one in held)),
    ]
    parts = [(label, value) for label, value in parts if value > 0]
    total = sum(value for _, value in parts)
    if not total > 0:
        return None
    name, most = max(parts, key=lambda part: part[1])
    what = {"features": "the feature pass", "evaluation": "the passes that evaluate the model in fine-tuning"}.get(
        stage, stage
    )
    photos = sum(one.photos for one in held)
    return shares(
        f"passes-{stage}",
        f"Parts of {what}",
        f"{photos:,} photos in {sum(one.batches for one in held):,} batches took {seconds(total)}, summed over lanes, most of it for "
        f"{name}: {100 * most / total:.0f} %, or {seconds(most / max(photos, 1))} a photo.",
        parts,
        in_seconds=True,
    )


def _operators(run: Run, stage: str) -> Chart:
    """Draw the operators of a stage's traced steps, as the mean over these steps."""
    traces = [one for one in run.measured.traces if one.stage == stage]
    means: dict[str, tuple[float, float, float]] = {}
    for trace in traces:
        for one in trace.operators:
            calls, on_processor, on_gpu = means.get(one.name, (0.0, 0.0, 0.0))
            share = 1 / len(traces)
            means[one.name] = (
                calls + share * one.calls,
                on_processor + share * one.seconds,
                on_gpu + share * one.gpu_seconds,
            )
    column = 2 if any(gpu > 0 for _, _, gpu in means.values()) else 1
    rows = sorted(means.items(), key=lambda row: -row[1][column])
    name, first = rows[0]
    device = "the GPU" if column == 2 else "the processor"
    steps = ", ".join(str(trace.step) for trace in traces)
    files = ", ".join(trace.file for trace in traces if trace.file)
    title = f"Operators of {stage}"
    return Chart(
        id=f"trace-{stage}",
        kind="interval",
        title=title,
        sentence=f"Most of the time on {device} went into {name}: {seconds(first[column])} in each step, in {first[0]:,.0f} calls, "
        f"without the operators that it calls. Traced: step {steps}. The whole traces are in {files or 'no file'}; Perfetto opens them.",
        x=tuple(label for label, _ in rows[:OPERATORS]),
        x_name=f"seconds on {device}",
        lines=(Line(name="seconds", values=tuple(plain(values[column]) for _, values in rows[:OPERATORS])),),
        table=table_of(
            title,
            (
                Column(name="operator"),
                Column(name="calls", form="number"),
                Column(name="on the processor", form="seconds"),
                Column(name="on the GPU", form="seconds"),
            ),
            [[label, *values] for label, values in rows],
        ),
    )


def longest_steps(run: Run | None) -> Table:
    """Return a table of the longest steps, with the longest part of each."""
    rows = list[tuple[float, list[Cell]]]()
    for one in run.measured.steps if run else ():
        median = float(np.nanmedian(one.seconds)) if not np.isnan(one.seconds).all() else 0.0
        for place in np.argsort(-np.nan_to_num(one.seconds))[:LONGEST]:
            parts = {label: float(np.nan_to_num(one.parts[name][place])) for name, label in PARTS.items()}
            label, most = max(parts.items(), key=lambda item: item[1])
            whole = float(np.nan_to_num(one.seconds[place]))
            cells: list[Cell] = [one.stage, int(one.epochs[place]), int(np.nan_to_num(one.steps[place])), whole]
            rows.append((whole, [*cells, whole / median if median else None, label, most]))
    rows.sort(key=lambda row: -row[0])
    return table_of(
        "Longest steps",
        (
            Column(name="stage"),
            Column(name="epoch", form="number"),
            Column(name="step", form="number"),
            Column(name="time", form="seconds"),
            Column(name="times the median", form="number"),
            Column(name="longest part"),
            Column(name="of", form="seconds"),
        ),
        [cells for _, cells in rows[:LONGEST]],
    )
