"""Builds the section "Result": accuracy with its interval, the most confused pairs, every class, and the confusion matrix."""

from reports.facts import Run, Split
from reports.names import isolated, quoted
from reports.page.calibration import calibration_chart
from reports.page.confused import confused_gallery
from reports.page.document import Chart, Column, Line, Section, Table, table_of
from reports.page.matrix import matrix_charts
from reports.page.numbers import plain, share
from reports.rules.classes import judged_split, pairs

PAIRS = 12  # the chart shows at most this many pairs of classes; the table shows up to PAIR_ROWS
PAIR_ROWS = 2_000


def result_section(run: Run | None) -> Section:
    """Return the section on the result of the kept model."""
    if run is None or not run.splits:
        reason = "These records do not come from our training program." if run is None else "No result was recorded."
        return Section(id="result", title="Result", missing=(reason,))
    split = judged_split(run)
    charts = [
        chart
        for chart in (_accuracies(run), *(_charts(run, split) if split else ()), calibration_chart(run.splits))
        if chart
    ]
    gallery = confused_gallery(run, split) if split else None
    missing = () if split else ("No confusion matrix was recorded, so confused classes cannot be shown.",)
    scores = next((one for one in (split, *run.splits) if one and one.classes), None)
    return Section(
        id="result",
        title="Result",
        facts=tuple(_facts(run)),
        charts=tuple(charts),
        galleries=(gallery,) if gallery else (),
        tables=(_classes(scores),) if scores else (),
        missing=missing,
    )


def _facts(run: Run) -> list[tuple[str, str]]:
    found = []
    for split in sorted(run.splits, key=lambda split: split.name != "test"):
        result = split.result
        if result is None:
            continue
        found.append(
            (f"Accuracy on {split.name}", f"{share(result.accuracy, result.interval)}, {result.count:,} photos")
        )
        rest = {
            "top 5": None if result.top5 is None else f"{100 * result.top5:.1f} %",
            "macro F1": None if result.macro_f1 is None else f"{result.macro_f1:.3f}",
            "loss": None if result.loss is None else f"{result.loss:.3f}",
            "calibration error": None if result.ece is None else f"{100 * result.ece:.1f} %",
            "temperature": None if result.temperature is None else f"{result.temperature:.3g}",
        }
        found.append((f"Also on {split.name}", ", ".join(f"{name} {value}" for name, value in rest.items() if value)))
    kept = next((split.result for split in run.splits if split.result), None)
    if kept and kept.best_epoch is not None:
        found.append(("Kept model", f"stage {kept.stage or '?'}, epoch {kept.best_epoch}"))
    return found


def _accuracies(run: Run) -> Chart | None:
    held = [split.result for split in run.splits if split.result]
    if not held:
        return None
    best = held[-1]
    return Chart(
        id="accuracy",
        kind="interval",
        title="Accuracy by split",
        sentence=f"On {best.split} {share(best.accuracy, best.interval)} of {best.count:,} photos are predicted rightly; "
        "the validation photos chose the kept epoch, so the accuracy on them is too high.",
        x=tuple(result.split for result in held),
        x_name="photos predicted rightly, %",
        lines=(
            Line(
                name="accuracy",
                values=tuple(plain(100 * result.accuracy) for result in held),
                low=tuple(plain(100 * (result.interval or (result.accuracy,) * 2)[0]) for result in held),
                high=tuple(plain(100 * (result.interval or (result.accuracy,) * 2)[1]) for result in held),
            ),
        ),
        table=table_of(
            "Accuracy by split",
            (
                Column(name="split"),
                Column(name="accuracy", form="percent"),
                Column(name="from", form="percent"),
                Column(name="to", form="percent"),
                Column(name="photos", form="number"),
            ),
            [[one.split, one.accuracy, *(one.interval or (None, None)), one.count] for one in held],
        ),
    )


def _charts(run: Run, split: Split) -> list[Chart | None]:
    return [_pairs(run, split), *matrix_charts(run, split)]


def _pairs(run: Run, split: Split) -> Chart | None:
    found = pairs(run, split)
    if not found:
        return None
    first, shown = found[0], found[:PAIRS]
    return Chart(
        id="pairs",
        kind="interval",
        title=f"Most confused pairs of {split.name}",
        sentence=f"{first.photos} of {first.of} photos of {quoted(first.truth)} are taken for {quoted(first.prediction)} "
        f"(95 % interval {100 * first.low:.0f} to {100 * first.high:.0f} %). Pairs that are confused at least once: {len(found)}.",
        x=tuple(f"{isolated(pair.truth)} → {isolated(pair.prediction)}" for pair in shown),
        x_name="photos of the class, %",
        lines=(
            Line(
                name="confused",
                values=tuple(plain(100 * pair.photos / pair.of) for pair in shown),
                low=tuple(plain(100 * pair.low) for pair in shown),
                high=tuple(plain(100 * pair.high) for pair in shown),
            ),
        ),
        table=table_of(
            "Confused pairs",
            (
                Column(name="truth"),
                Column(name="taken for"),
                Column(name="photos", form="number"),
                Column(name="of", form="number"),
                Column(name="share", form="percent"),
                Column(name="from", form="percent"),
                Column(name="to", form="percent"),
            ),
            [
                [pair.truth, pair.prediction, pair.photos, pair.of, pair.photos / pair.of, pair.low, pair.high]
                for pair in found[:PAIR_ROWS]
            ],
        ),
    )


def _classes(split: Split) -> Table:
    ordered = sorted(split.classes, key=lambda score: (2.0 if score.recall is None else score.recall, score.name))
    return table_of(
        f"Classes of {split.name}, the least recognised first",
        (
            Column(name="class"),
            Column(name="photos", form="number"),
            Column(name="recall", form="percent"),
            Column(name="precision", form="percent"),
            Column(name="F1", form="percent"),
        ),
        [[score.name, score.count, score.recall, score.precision, score.f1] for score in ordered],
    )
