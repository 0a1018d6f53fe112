"""How many of the photos that training says look mislabelled are so: wrong labels are planted in train, then training runs.

    python -m benchmarks.mislabelled [FOLDER] [--classes N] [--share SHARE] [--backbone NAME] [--seed N]

Labels are made wrong in two ways: to a class drawn at random, and to the class that a first run confuses the right one with most
often. Features are cached by the first run. Precision at 20 is the share of planted photos among the first 20 of the list.
"""

import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import parts
from benchmarks.machine import NotRun
from benchmarks.parts import Figure, Options
from benchmarks.photos import selected
from benchmarks.runs import LITE
from launch.training import Recipe, train

TARGET, SECONDS = 0.8, 5.0  # precision at 20, and how long the search may take
Records = list[dict[str, Any]]
Moves = dict[Path, str]  # photo -> the class whose folder it goes to


def _planted(options: Options) -> Iterator[Figure]:
    """Plant wrong labels in both ways, train each time, and yield how well they were found."""
    if not options.folder.is_dir():
        raise NotRun(f"{options.folder} holds no photos; name a folder of photos")
    with selected(options.folder, classes=options.classes) as photos, TemporaryDirectory(prefix="bench-") as name:
        yield from photos.figures()
        cache = Path(name) / "features"
        first = _run(photos.folder, Path(name) / "first", cache, options.backbone)
        for way, other in (("random class", None), ("class confused most", _most_confused(first))):
            moves = _moves(photos.folder, other, options.share, options.seed)
            yield from _measured(photos.folder, moves, way, Path(name) / way.replace(" ", "-"), cache, options.backbone)


def _run(folder: Path, base: Path, cache: Path, backbone: str) -> Records:
    base.mkdir()
    recipe = Recipe(
        data=folder,
        hyperparameters={"backbone": backbone, "weights": "pretrained" if backbone == LITE else "random"},
        channels={},
        feature_cache=cache,
    )
    return train(base, recipe, {"epochs": "5", "lr": "0.003"}, quiet=True)


def _most_confused(records: Records) -> Mapping[str, str]:
    """Return for each class the one that the trained model takes its photos for most often, over all splits that it judged."""
    classes = next(record for record in records if record["kind"] == "job")["classes"]
    matrices = [record["matrix"] for record in records if record["kind"] == "confusion"]
    nearest = {}
    for place, name in enumerate(classes):
        counts = [sum(matrix[place][other] for matrix in matrices) for other in range(len(classes))]
        counts[place] = -1
        nearest[name] = classes[counts.index(max(counts))]
    return nearest


def _moves(folder: Path, other: Mapping[str, str] | None, share: float, seed: int) -> Moves:
    """Choose photos of train and the wrong class of each: that of `other`, or one drawn at random."""
    draw = random.Random(seed)
    photos = sorted((folder / "train").glob("*/*"))
    classes = sorted({photo.parent.name for photo in photos})
    chosen = draw.sample(photos, round(share * len(photos)))
    return {
        photo: other[photo.parent.name]
        if other
        else draw.choice([name for name in classes if name != photo.parent.name])
        for photo in chosen
    }


def _measured(folder: Path, moves: Moves, way: str, base: Path, cache: Path, backbone: str) -> Iterator[Figure]:
    """Train with the photos moved, put them back, and yield how well they were found and how long that took."""
    moved = {
        photo: photo.parent.parent / name / f"moved-{photo.parent.name}-{photo.name}" for photo, name in moves.items()
    }
    for photo, wrong in moved.items():
        photo.rename(wrong)
    try:
        records = _run(folder, base, cache, backbone)
    finally:
        for photo, wrong in moved.items():
            wrong.rename(photo)
    found = next(record for record in records if record["kind"] == "mislabelled")
    right = [Path(photo["path"]).name.startswith("moved-") for photo in found["photos"]]
    seconds = next(record for record in records if record["kind"] == "done")["seconds"]
    yield Figure(f"{way}: planted", len(moves))
    yield Figure(f"{way}: right among the first 20", sum(right[:20]) / 20, at_least=TARGET)
    yield Figure(f"{way}: right among the first 50", sum(right[:50]) / 50)
    yield Figure(f"{way}: of the planted ones listed", sum(right) / len(moves))
    yield Figure(f"{way}: listed", len(right))
    yield Figure(f"{way}: all work on photos, s", seconds["photos"], at_most=SECONDS)


OPTIONS = {
    "classes": (30, "of the folder's"),
    "share": (0.05, "of the labels of train"),
    "backbone": (LITE, "of the features"),
    "seed": (0, "of what is planted"),
}

if __name__ == "__main__":
    sys.exit(parts.main("mislabelled", {"planted": _planted}, OPTIONS, folder="../shared/data/breeds"))
