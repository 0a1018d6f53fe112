"""Draws bars of parts that add up to 100 %."""

from collections.abc import Sequence

from reports.page.document import Cell, Chart, Column, Line, table_of
from reports.page.numbers import plain


def shares(name: str, title: str, sentence: str, parts: Sequence[tuple[str, float]], in_seconds: bool) -> Chart:
    """Return a chart with one bar for each of `parts`, in percent of their sum. `in_seconds` adds a column with the seconds."""
    total = sum(value for _, value in parts)
    columns = [Column(name="part"), Column(name="share", form="percent")]
    rows: list[list[Cell]] = [[label, value / total] for label, value in parts]
    if in_seconds:
        columns.append(Column(name="time", form="seconds"))
        rows = [[*row, value] for row, (_, value) in zip(rows, parts, strict=True)]
    return Chart(
        id=name,
        kind="interval",
        title=title,
        sentence=sentence,
        x=tuple(label for label, _ in parts),
        x_name="share of the time, %",
        lines=(Line(name="share", values=tuple(plain(100 * value / total) for _, value in parts)),),
        table=table_of(title, columns, rows),
    )
