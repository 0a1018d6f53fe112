"""The content of a page, from which HTML and JSON are written: sections of facts, charts, galleries and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.photos.facts import Photo, Photos
from reports.rules.table import Judged

Cell = str | int | float | None
Form = Literal["text", "number", "percent", "seconds", "bytes"]  # a percent cell holds a share from 0 to 1


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table. `form` is the format of its cells."""

    name: str
    form: Form = "text"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that the reader can sort. Each row has one cell for each of `columns`."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One named series of a chart. `low` and `high` are a band around the line, or the ends of an interval."""

    name: str
    values: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart. `sentence` says what it shows. `table` holds its numbers for readers who cannot see the chart.

    line and bar: `lines` over the categories `x`. interval: one horizontal bar for each of `x`. heat: `cells`, which are x index,
    y index and value. parallel: one axis for each of `x`, and one of `lines` for each trial.
    """

    id: str
    kind: Literal["line", "bar", "interval", "heat", "parallel"]
    title: str
    sentence: str
    x: tuple[str, ...]
    table: Table
    lines: tuple[Line, ...] = ()
    y: tuple[str, ...] = ()
    cells: tuple[tuple[int, int, float], ...] = ()
    x_name: str = ""
    y_name: str = ""
    behind_button: bool = False
    # For a heat chart: x index and y index of a cell, and the id of the group of photos that the cell links to.
    links: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A photo on the page. `words` is the caption below it."""

    photo: Photo
    words: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """Photos side by side below a heading, which may be empty. `id` is the target of links; empty if nothing links to the group."""

    pictures: tuple[Picture, ...]
    heading: str = ""
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Groups of photos below one title. `sentence` says what the photos show."""

    title: str
    sentence: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of the page. `missing` holds sentences on why it is empty or incomplete."""

    id: str
    title: str
    facts: tuple[tuple[str, str], ...] = ()
    charts: tuple[Chart, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    notes_title: str = "What training reported about the photos"
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """The whole page."""

    title: str
    source: str
    made: str  # date and time, UTC
    program: str
    headline: str
    judged: tuple[Judged, ...]
    sections: tuple[Section, ...]
    missing: tuple[str, ...]
    photos: Photos


def table_of(title: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Table:
    """Return a table. `columns` and the rows may be lists."""
    return Table(title=title, columns=tuple(columns), rows=tuple(tuple(row) for row in rows))
