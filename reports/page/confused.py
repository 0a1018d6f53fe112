"""Groups the photos of confused pairs of classes by the cells of the confusion matrix."""

from collections.abc import Mapping

from reports.facts import Run, Split
from reports.names import isolated
from reports.page.document import Gallery, Group, Picture
from reports.page.photos import words
from reports.photos.facts import Answer
from reports.rules.classes import class_names

Cell = tuple[int, int]  # index of the true class, and index of the predicted class


def confused_groups(run: Run, split: Split) -> Mapping[Cell, Group]:
    """Return the recorded photos of each cell of a split's confusion matrix, the cell with the largest count first."""
    places = {name: place for place, name in enumerate(class_names(run, split))}
    held: dict[Cell, list[Answer]] = {}
    for answer in run.photos.answers:
        cell = places.get(answer.photo.label), places.get(answer.prediction)
        if answer.photo.split == split.name and cell[0] is not None and cell[1] is not None and cell[0] != cell[1]:
            held.setdefault((cell[0], cell[1]), []).append(answer)
    return {
        cell: _group(split, cell, held[cell]) for cell in sorted(held, key=lambda cell: (-_count(split, cell), cell))
    }


def confused_gallery(run: Run, split: Split) -> Gallery | None:
    """Return the photos of the confused pairs of a split; None if the records hold no such photos."""
    groups = confused_groups(run, split)
    if not groups:
        return None
    return Gallery(
        title=f"Photos of confused pairs of {split.name}",
        sentence=f"Photos of {len(groups)} pairs of a true and a predicted class, the pairs with the most photos first; at "
        "most a few of each are recorded.",
        groups=tuple(groups.values()),
    )


def _group(split: Split, cell: Cell, answers: list[Answer]) -> Group:
    first = answers[0]
    return Group(
        id=f"pair-{cell[0]}-{cell[1]}",
        heading=f"{isolated(first.photo.label)} taken for {isolated(first.prediction)}: {len(answers)} of {_count(split, cell)} photos",
        pictures=tuple(
            Picture(photo=answer.photo, words=words(answer))
            for answer in sorted(answers, key=lambda answer: -answer.probability)
        ),
    )


def _count(split: Split, cell: Cell) -> int:
    return split.confusion[cell[0]][cell[1]]
