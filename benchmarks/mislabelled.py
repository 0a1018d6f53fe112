"""How many of the photos that training says look mislabelled are so: wrong labels are planted in train, then training runs.

    python -m benchmarks.mislabelled [FOLDER] [--classes N] [--share SHARE] [--backbone NAME] [--seed N]

Labels are made wrong in two ways: to a class drawn at random, and to the class that a first run confuses the right one with most
often. Features are cached by the first run. Precision at 20 is the share of planted photos among the first 20 of the list.
"""

import argparse
import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import describe, summary, write_results
from benchmarks.runs import LITE, selected, weights
from launch.training import Recipe, train

TARGET, SECONDS = 0.8, 5.0  # precision at 20, and how long the search may take
Records = list[dict[str, Any]]
Moves = dict[Path, str]  # photo -> the class whose folder it goes to


def main() -> int:
    """Measure, print the table and write results/mislabelled.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mislabelled", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/breeds"), metavar="FOLDER")
    parser.add_argument("--classes", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--share", type=float, default=0.05, help="of the labels of train (default: %(default)s)")
    parser.add_argument("--backbone", default=LITE, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args()
    if not options.folder.is_dir():
        print(f"mislabelled: {options.folder} holds no photos, so this figure was not run; name a folder of photos")
        return 0
    results = measure(options)
    write_results("mislabelled", results)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and return machine, settings and, for each way, precision and times."""
    machine = describe()
    print(summary(machine))
    with selected(options.folder, classes=options.classes) as photos, TemporaryDirectory(prefix="bench-") as name:
        cache = Path(name) / "features"
        first = _run(photos.folder, Path(name) / "first", cache, options.backbone)
        figures = {}
        for way, other in (("random", None), ("most alike", _most_confused(first))):
            moves = _moves(photos.folder, other, options.share, options.seed)
            figures[way] = _measured(photos.folder, moves, Path(name) / way, cache, options.backbone)
            print(f"{way}: " + ", ".join(f"{key} {value:.3g}" for key, value in figures[way].items()), flush=True)
        settings = {"backbone": options.backbone, "photos": photos.counts, "classes": photos.classes}
    settings |= {"share": options.share, "seed": options.seed}
    return {"machine": machine, "settings": settings, "target": TARGET, "target_seconds": SECONDS, "figures": figures}


def _run(folder: Path, base: Path, cache: Path, backbone: str) -> Records:
    base.mkdir()
    recipe = Recipe(
        data=folder,
        hyperparameters={"backbone": backbone, "weights": weights(backbone)},
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


def _measured(folder: Path, moves: Moves, base: Path, cache: Path, backbone: str) -> dict[str, float]:
    """Train with the photos moved, put them back, and return how well they were found and how long that took."""
    moved = {
        photo: photo.parent.parent / name / f"moved-{photo.parent.name}-{photo.name}" for photo, name in moves.items()
    }
    for photo, wrong in moved.items():
        photo.rename(wrong)
    started = time.perf_counter()
    try:
        records = _run(folder, base, cache, backbone)
    finally:
        for photo, wrong in moved.items():
            wrong.rename(photo)
    seconds = time.perf_counter() - started
    found = next(record for record in records if record["kind"] == "mislabelled")
    right = [Path(photo["path"]).name.startswith("moved-") for photo in found["photos"]]
    parts = next(record for record in records if record["kind"] == "done")["seconds"]
    return {
        "planted": len(moves),
        "precision_at_20": sum(right[:20]) / 20,
        "precision_at_50": sum(right[:50]) / 50,
        "found_of_planted": sum(right) / len(moves),
        "listed": len(right),
        "photos_seconds": parts["photos"],
        "job_seconds": seconds,
        "records_bytes": float(len(json.dumps([one for one in records if "jpeg" in json.dumps(one)]))),
    }


if __name__ == "__main__":
    raise SystemExit(main())
