"""Builds the section "Learning": losses, accuracy and learning rate by epoch, the loss by step, and the trials of a search."""

from collections.abc import Callable, Sequence

import numpy as np

from reports.facts import Epoch, Run
from reports.page.document import Cell, Chart, Column, Line, Section, table_of
from reports.page.importance import FEWEST, importance_chart
from reports.page.numbers import bands, plain, plain_all
from reports.page.trials import trials_chart
from reports.rules.loss import losses_by_step
from reports.rules.stages import stages

MOST_POINTS = 400  # a curve by step has at most this many points
ROWS = 1_000  # the table of a chart has at most this many rows


def learning_section(run: Run | None) -> Section:
    """Return the section with the learning curves and the trials."""
    if run is None or not (run.epochs or run.trials):
        reason = "These records do not come from our training program." if run is None else "No epoch was recorded."
        return Section(id="learning", title="Learning", missing=(reason,))
    epochs = [epoch for held in stages(run).values() for epoch in held]
    charts = [*_curves(epochs), _steps(epochs), trials_chart(run), importance_chart(run.trials)]
    missing = [] if run.trials else ["These records are not of a search or a tuning run."]
    if 0 < len(run.trials) < FEWEST:
        missing.append(
            f"{len(run.trials)} trials are too few to show which hyperparameter matters; {FEWEST} are needed."
        )
    return Section(
        id="learning", title="Learning", charts=tuple(chart for chart in charts if chart), missing=tuple(missing)
    )


def _curves(epochs: Sequence[Epoch]) -> list[Chart | None]:
    if not epochs:
        return []
    return [
        _by_epoch(
            epochs,
            "loss",
            "Loss by epoch",
            "cross entropy",
            {"training": lambda epoch: epoch.train_loss, "validation": lambda epoch: epoch.validation_loss},
        ),
        _by_epoch(
            epochs,
            "accuracies",
            "Accuracy by epoch",
            "photos predicted rightly, %",
            {
                "training": lambda epoch: _percent(epoch.train_accuracy),
                "validation": lambda epoch: _percent(epoch.validation_accuracy),
            },
        ),
        _by_epoch(
            epochs,
            "rate",
            "Learning rate by epoch",
            "learning rate after the epoch",
            {"learning rate": lambda epoch: epoch.learning_rate},
        ),
    ]


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _by_epoch(
    epochs: Sequence[Epoch], name: str, title: str, unit: str, curves: dict[str, Callable[[Epoch], float | None]]
) -> Chart | None:
    lines = [Line(name=label, values=plain_all([of(epoch) for epoch in epochs])) for label, of in curves.items()]
    lines = [line for line in lines if any(value is not None for value in line.values)]
    if not lines:
        return None
    labels = tuple(f"{epoch.stage} {epoch.number}" for epoch in epochs)
    rows: list[list[Cell]] = [
        [label, *(line.values[place] for line in lines)] for place, label in enumerate(labels[:ROWS])
    ]
    return Chart(
        id=name,
        kind="line",
        title=title,
        sentence=_course(lines, labels, lowest=name == "loss", constant=name == "rate"),
        x=labels,
        x_name="epoch",
        y_name=unit,
        lines=tuple(lines),
        table=table_of(title, (Column(name="epoch"), *(Column(name=line.name, form="number") for line in lines)), rows),
    )


def _course(lines: Sequence[Line], labels: Sequence[str], *, lowest: bool, constant: bool) -> str:
    said = []
    for line in lines:
        held = [(value, labels[place]) for place, value in enumerate(line.values) if value is not None]
        first, last = held[0][0], held[-1][0]
        best, where = min(held) if lowest else max(held)
        if constant:
            said.append(f"The {line.name} was {first:.4g} after the first epoch and {last:.4g} after the last")
        else:
            said.append(f"{line.name}: from {first:.4g} to {last:.4g}, best {best:.4g} in epoch {where}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def _numbered(epochs: Sequence[Epoch]) -> bool:
    """Return True if the records hold the numbers of the steps; they do if some steps were not saved."""
    return any(epoch.step_numbers for epoch in epochs)


def _steps(epochs: Sequence[Epoch]) -> Chart | None:
    numbers, losses = [], list[tuple[str, float]]()
    for stage in dict.fromkeys(epoch.stage for epoch in epochs):
        for step, loss in losses_by_step([epoch for epoch in epochs if epoch.stage == stage]):
            numbers.append(step)
            losses.append((stage, loss))
    if len(losses) < 2:
        return None
    count = len(losses)
    values = np.array([loss for _, loss in losses])
    places, means, low, high = bands(values, MOST_POINTS)
    named = [str(numbers[int(place)] if _numbered(epochs) else int(place) + 1) for place in places]
    line = Line(name="training loss", values=plain_all(means), low=plain_all(low), high=plain_all(high))
    rows: list[list[Cell]] = [
        [int(name), plain(float(mean)), plain(float(least)), plain(float(most))]
        for name, mean, least, most in zip(named, means, low, high, strict=True)
    ]
    joined = -(-count // len(places))
    each = (
        "Every step is drawn."
        if joined == 1
        else f"Each point joins up to {joined} steps; the band reaches from their smallest to their largest loss."
    )
    starts = (
        ["the steps that were saved"]
        if _numbered(epochs)
        else [
            f"{stage} begins with step {next(place for place, one in enumerate(losses, 1) if one[0] == stage)}"
            for stage in dict.fromkeys(stage for stage, _ in losses)
        ]
    )
    return Chart(
        id="steps",
        kind="line",
        title="Training loss by step",
        sentence=f"{count:,} steps, from {values[0]:.4g} to {values[-1]:.4g}; {', '.join(starts)}. {each}",
        x=tuple(named),
        x_name="step",
        y_name="cross entropy",
        lines=(line,),
        table=table_of(
            "Training loss by step",
            (
                Column(name="from step", form="number"),
                Column(name="mean", form="number"),
                Column(name="least", form="number"),
                Column(name="largest", form="number"),
            ),
            rows,
        ),
    )
