"""Builds the section "Result" of a page that compares two runs: which of them is better."""

from dataclasses import dataclass

from reports.facts import Result, Run
from reports.page.document import Cell, Chart, Column, Line, Section, Table, table_of
from reports.page.numbers import plain, share
from reports.rules.intervals import difference
from reports.rules.table import Judged

CLASSES = 30  # the table lists at most this many classes: those with the largest change


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two runs. `label` is its name on the page; `judged` holds its own verdicts."""

    label: str
    run: Run
    judged: tuple[Judged, ...]


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The results of both runs on one split. `low` and `high` are the 95 % interval of the second accuracy minus the first."""

    split: str
    first: Result
    second: Result
    low: float
    high: float

    @property
    def told(self) -> bool:
        """True if the interval does not contain 0, so that one of the two runs is better."""
        return self.low > 0 or self.high < 0


def apart(first: Run, second: Run) -> list[Apart]:
    """Return the splits on which both runs were judged, test first."""
    others = {split.name: split.result for split in second.splits if split.result}
    found = []
    for split in sorted(first.splits, key=lambda split: split.name != "test"):
        one, other = split.result, others.get(split.name)
        if one and other:
            low, high = difference(_hits(one), _hits(other))
            found.append(Apart(split=split.name, first=one, second=other, low=low, high=high))
    return found


def _hits(result: Result) -> tuple[int, int]:
    return round(result.accuracy * result.count), result.count


def sentence(one: Apart, first: Side, second: Side) -> str:
    """Return a sentence on which run is better on a split, with the 95 % interval of the difference."""
    points = f"{100 * abs(one.second.accuracy - one.first.accuracy):.1f} points"
    ends = f"95 % interval of the difference {100 * one.low:+.1f} to {100 * one.high:+.1f}"
    if not one.told:
        return f"On {one.split} the difference between the two is not certain: {points} ({ends})."
    better = second.label if one.low > 0 else first.label
    return f"On {one.split} {better} is better by {points} ({ends})."


def results(first: Side, second: Side) -> Section:
    """Return the section on the results of the two kept models."""
    held = apart(first.run, second.run)
    facts = []
    for side in (first, second):
        facts += [
            (
                f"{side.label}, {split.name}",
                f"{share(split.result.accuracy, split.result.interval)}, {split.result.count:,} photos",
            )
            for split in side.run.splits
            if split.result
        ]
        if done := [trial for trial in side.run.trials if trial.accuracy is not None]:
            facts.append((f"{side.label}, trials", f"{len(done)}; the best trial is compared"))
    missing = [] if held else ["The two runs were not judged on a split of the same name."]
    missing += [
        f"The two splits {one.split} have {one.first.count:,} and {one.second.count:,} photos: the runs were not judged on the same photos."
        for one in held
        if one.first.count != one.second.count
    ]
    return Section(
        id="result",
        title="Result",
        facts=tuple(facts),
        charts=(_accuracies(held, first, second),) if held else (),
        tables=tuple(table for table in (_measures(held, first, second), _classes(first, second)) if table.rows),
        missing=tuple(missing),
    )


def _accuracies(held: list[Apart], first: Side, second: Side) -> Chart:
    bars = [
        (f"{one.split}, {side.label}", result)
        for one in held
        for side, result in ((first, one.first), (second, one.second))
    ]
    ends = [result.interval or (result.accuracy, result.accuracy) for _, result in bars]
    return Chart(
        id="accuracy",
        kind="interval",
        title="Accuracy of both runs",
        sentence=f"{sentence(held[0], first, second)} The records do not hold the answer to each photo, so the interval "
        "treats the two sets of photos as independent; if they are the same photos, it is wider than necessary.",
        x=tuple(label for label, _ in bars),
        x_name="photos predicted rightly, %",
        lines=(
            Line(
                name="accuracy",
                values=tuple(plain(100 * result.accuracy) for _, result in bars),
                low=tuple(plain(100 * low) for low, _ in ends),
                high=tuple(plain(100 * high) for _, high in ends),
            ),
        ),
        table=table_of(
            "Accuracy of both runs",
            (
                Column(name="split"),
                *(
                    Column(name=name, form="percent")
                    for name in (first.label, second.label, "difference", "from", "to")
                ),
                Column(name="which is better"),
            ),
            [
                [
                    one.split,
                    one.first.accuracy,
                    one.second.accuracy,
                    one.second.accuracy - one.first.accuracy,
                    one.low,
                    one.high,
                    (second.label if one.low > 0 else first.label) if one.told else "cannot be told",
                ]
                for one in held
            ],
        ),
    )


def _measures(held: list[Apart], first: Side, second: Side) -> Table:
    rows: list[list[Cell]] = []
    for one in held:
        for name in ("loss", "top5", "macro_f1", "ece", "temperature"):
            a, b = getattr(one.first, name), getattr(one.second, name)
            if a is not None or b is not None:
                rows.append([one.split, NAMES[name], plain(a), plain(b), plain(b - a) if None not in (a, b) else None])
    columns = [Column(name="split"), Column(name="measure")]
    columns += [Column(name=name, form="number") for name in (first.label, second.label, "difference")]
    return table_of("Other measures", columns, rows)


NAMES = {
    "loss": "loss",
    "top5": "top 5",
    "macro_f1": "macro F1",
    "ece": "calibration error",
    "temperature": "temperature",
}


def _classes(first: Side, second: Side) -> Table:
    """Return a table of the classes with the largest change of recall, on the first common split."""
    names = [one.split for one in apart(first.run, second.run)]
    scores = [
        {score.name: score for split in side.run.splits if split.name in names[:1] for score in split.classes}
        for side in (first, second)
    ]
    rows: list[tuple[float, list[Cell]]] = []
    for name, score in scores[0].items():
        other = scores[1].get(name)
        if other and score.recall is not None and other.recall is not None:
            change = other.recall - score.recall
            rows.append((-abs(change), [name, score.count, score.recall, other.recall, change]))
    columns = [Column(name="class"), Column(name="photos", form="number")]
    columns += [Column(name=f"recall, {side.label}", form="percent") for side in (first, second)]
    columns.append(Column(name="difference", form="percent"))
    ordered = [row for _, row in sorted(rows, key=lambda item: (item[0], str(item[1][0])))][:CLASSES]
    return table_of("Classes that changed most", columns, ordered)
