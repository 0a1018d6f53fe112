"""Draws the reliability diagram: the share of right predictions at each level of the confidence."""

from collections.abc import Sequence

from reports.facts import Result, Split
from reports.page.document import Chart, Column, Line, table_of
from reports.page.numbers import plain
from reports.rules.intervals import wilson


def calibration_chart(splits: Sequence[Split]) -> Chart | None:
    """Return the calibration chart of the test split, or of the first split with recorded bins; None if no split has them."""
    held = [split.result for split in splits if split.result and split.result.calibration]
    result = next((one for one in held if one.split == "test"), held[0] if held else None)
    return _chart(result) if result else None


def _chart(result: Result) -> Chart:
    bins = result.calibration
    ends = [wilson(one.hits, one.count) for one in bins]
    title = f"Calibration on {result.split}"
    return Chart(
        id="calibration",
        kind="line",
        title=title,
        sentence=_sentence(result),
        x=tuple(f"{100 * one.low:.0f} to {100 * one.high:.0f}" for one in bins),
        x_name="probability of the predicted class, %",
        y_name="%",
        lines=(
            Line(
                name="predicted rightly",
                values=tuple(plain(100 * one.hits / one.count) for one in bins),
                low=tuple(plain(100 * low) for low, _ in ends),
                high=tuple(plain(100 * high) for _, high in ends),
            ),
            Line(name="probability, mean", values=tuple(plain(100 * one.confidence) for one in bins)),
        ),
        table=table_of(
            title,
            (
                Column(name="from", form="percent"),
                Column(name="to", form="percent"),
                Column(name="photos", form="number"),
                Column(name="mean probability", form="percent"),
                Column(name="predicted rightly", form="percent"),
                Column(name="interval from", form="percent"),
                Column(name="interval to", form="percent"),
            ),
            [
                [one.low, one.high, one.count, one.confidence, one.hits / one.count, *end]
                for one, end in zip(bins, ends, strict=True)
            ],
        ),
    )


def _sentence(result: Result) -> str:
    count = sum(one.count for one in result.calibration)
    sure = sum(one.confidence * one.count for one in result.calibration) / count
    right = sum(one.hits for one in result.calibration) / count
    error = "" if result.ece is None else f"; the expected calibration error is {100 * result.ece:.1f} %"
    return (
        f"The mean probability of the predicted classes is {100 * sure:.1f} %, and "
        f"{100 * right:.1f} % of these predictions are right{error}. Where the second line lies outside the band "
        "around the first (the 95 % interval), the model's probabilities are wrong."
    )
