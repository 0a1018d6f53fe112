"""Draws the confusion matrix of the worst classes, and the confusion matrix of all classes."""

from collections.abc import Mapping

from reports.facts import Run, Split
from reports.page.confused import Cell, confused_groups
from reports.page.document import Chart, Column, table_of
from reports.rules.classes import class_names

WORST = 20  # number of classes in the first matrix
MOST_CELLS = 60_000
ROWS = 2_000  # the table has at most this many rows


def matrix_charts(run: Run, split: Split) -> list[Chart]:
    """Return the matrix of the worst classes, and the matrix of all classes behind a button. A cell with recorded photos links to them."""
    names, matrix = class_names(run, split), split.confusion
    shown = {cell: group.id for cell, group in confused_groups(run, split).items()}
    if not any(map(sum, matrix)):
        return []

    def wrong(place: int) -> tuple[float, int]:
        total = sum(matrix[place])
        return (-(1 - matrix[place][place] / total) if total else 0.0, place)

    order = sorted(range(len(names)), key=wrong)
    worst = sorted(order[:WORST])
    some = len(worst) < len(names)
    which = f"the {len(worst)} worst classes" if some else "all classes"
    charts = [_matrix(split, names, worst, "matrix", which, shown)]
    if some:
        every = list(range(len(names)))
        charts.append(_matrix(split, names, every, "matrix-all", f"all {len(names)} classes", shown))
    return charts


def _matrix(
    split: Split, names: tuple[str, ...], places: list[int], name: str, which: str, shown: Mapping[Cell, str]
) -> Chart:
    """Return the matrix of the classes with the indices `places`. `shown` holds the id of the group of photos of a cell."""
    cells = [
        (x, y, split.confusion[truth][prediction])
        for y, truth in enumerate(places)
        for x, prediction in enumerate(places)
        if split.confusion[truth][prediction]
    ]
    cells = sorted(cells, key=lambda cell: -cell[2])[:MOST_CELLS]
    right = sum(count for x, y, count in cells if x == y)
    total = sum(sum(split.confusion[truth]) for truth in places)
    chosen = tuple(names[place] for place in places)
    links = tuple((x, y, shown[places[y], places[x]]) for x, y, _ in cells if (places[y], places[x]) in shown)
    leads = f" A click or Enter on a cell leads to its photos; cells with photos: {len(links)}." if links else ""
    return Chart(
        id=name,
        kind="heat",
        title=f"Confusion matrix of {split.name}, {which}",
        sentence=f"Of {total:,} photos of {which}, {right:,} are predicted rightly: they are on the diagonal. A row is a true "
        f"class, a column is a predicted class.{leads}",
        links=links,
        x=chosen,
        y=chosen,
        x_name="predicted",
        y_name="true class",
        cells=tuple((x, y, float(count)) for x, y, count in cells),
        behind_button=name == "matrix-all",
        table=table_of(
            "Cells that are not empty",
            (Column(name="true class"), Column(name="predicted"), Column(name="photos", form="number")),
            [[chosen[y], chosen[x], count] for x, y, count in cells[:ROWS]],
        ),
    )
