"""Measures how well training finds mislabelled photos: wrong labels are planted among the training photos, then training runs.

    python -m benchmarks.mislabelled [FOLDER] [--classes N] [--share SHARE] [--backbone NAME] [--seed N]

A wrong label is either a random class, or the class with which a first run most often confuses the right class. All runs share a
cache of features.
"""

import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import parts
from benchmarks.jobs import Run, ours
from benchmarks.machine import LITE
from benchmarks.parts import Figure, Options
from benchmarks.photos import selected

SETTINGS = {"epochs": 5, "lr": 0.003}
MOVED = "moved-"  # the name of a photo with a wrong label begins with this


def _planted(options: Options) -> Iterator[Figure]:
    """Plant wrong labels in both ways, train each time, and yield how many of them were found."""
    with TemporaryDirectory(prefix="bench-") as name:
        with selected(options.folder, classes=options.classes) as photos:
            yield from photos.figures()
            first = ours(photos.folder, options.backbone, SETTINGS, cache=Path(name))
        for way, other in (("random class", None), ("class confused most", _most_confused(first))):
            with selected(options.folder, classes=options.classes) as photos:
                count = _plant(photos.folder / "train", other, options.share, options.seed)
                yield Figure(f"{way}: planted", count)
                run = ours(photos.folder, options.backbone, SETTINGS, cache=Path(name))
            listed = [Path(photo["path"]).name.startswith(MOVED) for photo in run.record("mislabelled")["photos"]]
            yield Figure(f"{way}: right among the first 20", sum(listed[:20]) / 20, at_least=0.8)
            yield Figure(f"{way}: right among the first 50", sum(listed[:50]) / 50)
            yield Figure(f"{way}: of the planted ones listed", sum(listed) / count)
            yield Figure(f"{way}: listed", len(listed))
            yield Figure(f"{way}: all work on photos, s", run.record("done")["seconds"]["photos"], at_most=5)


def _most_confused(run: Run) -> Mapping[str, str]:
    """Return, for each class, the other class that the trained model predicts most often for its photos, over all judged splits."""
    classes = run.record("job")["classes"]
    total = np.sum([record["matrix"] for record in run.records if record["kind"] == "confusion"], axis=0)
    np.fill_diagonal(total, -1)
    return {name: classes[most] for name, most in zip(classes, total.argmax(axis=1), strict=True)}


def _plant(train: Path, other: Mapping[str, str] | None, share: float, seed: int) -> int:
    """Move a share of the photos to the folder of a wrong class: that of `other`, or a random class. Return the number of photos."""
    draw, photos = random.Random(seed), sorted(train.glob("*/*"))
    classes = {photo.parent.name for photo in photos}
    chosen = draw.sample(photos, round(share * len(photos)))
    for photo in chosen:
        right = photo.parent.name
        wrong = other[right] if other else draw.choice(sorted(classes - {right}))
        photo.rename(train / wrong / f"{MOVED}{right}-{photo.name}")
    return len(chosen)


PARTS = {"planted": _planted}
OPTIONS = {
    "classes": (30, "number of classes of the folder that are used"),
    "share": (0.05, "share of the labels of train that are wrong"),
    "backbone": (LITE, "backbone that computes the features"),
    "seed": (0, "seed of the random choice of photos and labels"),
}

if __name__ == "__main__":
    sys.exit(parts.main("mislabelled", PARTS, OPTIONS, folder="../shared/data/breeds"))
