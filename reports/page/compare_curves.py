"""Draws the curves of two runs in common charts: loss by epoch, accuracy by epoch, and loss by step."""

from collections.abc import Callable, Sequence

import numpy as np

from reports.facts import Epoch
from reports.page.compare import Side
from reports.page.document import Cell, Chart, Column, Line, Section, table_of
from reports.page.numbers import bands, plain_all
from reports.rules.loss import losses_by_step
from reports.rules.stages import stages

MOST_POINTS = 400
ROWS = 1_000  # the table of a chart has at most this many rows
Value = Callable[[Epoch], float | None]


def curves(sides: Sequence[Side]) -> Section:
    """Return the section with the learning curves of both runs."""
    charts = (
        _by_epoch(
            sides,
            "loss",
            "Loss by epoch",
            "cross entropy",
            {"training": lambda epoch: epoch.train_loss, "validation": lambda epoch: epoch.validation_loss},
        ),
        _by_epoch(
            sides,
            "accuracies",
            "Accuracy by epoch",
            "photos predicted rightly, %",
            {
                "training": lambda epoch: _percent(epoch.train_accuracy),
                "validation": lambda epoch: _percent(epoch.validation_accuracy),
            },
        ),
        _by_step(sides),
    )
    found = tuple(chart for chart in charts if chart)
    return Section(
        id="learning",
        title="Learning",
        charts=found,
        missing=() if found else ("No epoch was recorded in either run.",),
    )


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _by_epoch(sides: Sequence[Side], name: str, title: str, unit: str, measures: dict[str, Value]) -> Chart | None:
    held = [{(epoch.stage, epoch.number): epoch for epoch in side.run.epochs} for side in sides]
    order = list(dict.fromkeys(stage for side in sides for stage in stages(side.run)))
    places = sorted({place for one in held for place in one}, key=lambda place: (order.index(place[0]), place[1]))
    lines, said = [], []
    for side, epochs in zip(sides, held, strict=True):
        for measure, value in measures.items():
            values = plain_all([value(epochs[place]) if place in epochs else None for place in places])
            known = [number for number in values if number is not None]
            if known:
                lines.append(Line(name=f"{side.label}: {measure}", values=values))
                best = min(known) if name == "loss" else max(known)
                said.append(f"{side.label}: {measure} from {known[0]:.4g} to {known[-1]:.4g}, best {best:.4g}")
    if not lines:
        return None
    labels = tuple(f"{stage} {number}" for stage, number in places)
    rows: list[list[Cell]] = [[label, *(line.values[at] for line in lines)] for at, label in enumerate(labels[:ROWS])]
    return Chart(
        id=name,
        kind="line",
        title=f"{title}, both runs",
        sentence=f"{'; '.join(said)}.",
        x=labels,
        x_name="epoch",
        y_name=unit,
        lines=tuple(lines),
        table=table_of(title, (Column(name="epoch"), *(Column(name=line.name, form="number") for line in lines)), rows),
    )


def _by_step(sides: Sequence[Side]) -> Chart | None:
    losses = [[loss for epochs in stages(side.run).values() for _, loss in losses_by_step(epochs)] for side in sides]
    longest = max(map(len, losses))
    if longest < 2:
        return None
    lines = []
    places = np.empty(0)
    for side, values in zip(sides, losses, strict=True):
        # Pad the shorter run with NaN, so that its line ends earlier.
        padded = np.full(longest, np.nan)
        padded[: len(values)] = values
        places, means, low, high = bands(padded, MOST_POINTS)
        lines.append(Line(name=side.label, values=plain_all(means), low=plain_all(low), high=plain_all(high)))
    labels = tuple(str(int(place) + 1) for place in places)
    joined = -(-longest // len(places))
    each = f"A point joins up to {joined} steps; the band reaches from their smallest to their largest loss."
    counts = [f"{len(values):,} losses of {side.label}" for side, values in zip(sides, losses, strict=True)]
    rows: list[list[Cell]] = [[int(label), *(line.values[at] for line in lines)] for at, label in enumerate(labels)]
    return Chart(
        id="steps",
        kind="line",
        title="Training loss by step, both runs",
        sentence=f"{' and '.join(counts)}. {'Every step is drawn.' if joined == 1 else each}",
        x=labels,
        x_name="step",
        y_name="cross entropy",
        lines=tuple(lines),
        table=table_of(
            "Training loss by step",
            (Column(name="from step", form="number"), *(Column(name=line.name, form="number") for line in lines)),
            rows,
        ),
    )
