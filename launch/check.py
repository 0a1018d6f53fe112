"""`byoc data check`: reports the content of a folder of photos, and every problem that would make training fail."""

import hashlib
import json
import os
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from classifier.errors import DataError, PhotoError
from classifier.images import look_at, read_photo
from classifier.names import one_line
from classifier.photos import PhotoSet, load_photo_set
from classifier.progress import Progress
from classifier.unreadable import faults
from train.config import Config

LISTED = 5  # number of examples that the screen shows for each finding; --json has all
LARGE_PIXELS = 24_000_000
IMBALANCE = 10  # a warning follows if the largest class has more than this many times the photos of the smallest
SHORT_SIDE = 299  # photos are decoded as training would decode them with the default backbone


@dataclass(frozen=True, kw_only=True)
class _Look:
    """The findings about one photo. If it cannot be read, `problem` is the reason, and the other values are the defaults."""

    path: Path
    split: str
    label: str
    digest: str | None = None
    pixels: int = 0
    problem: str | None = None
    notes: tuple[str, ...] = ()


def survey(root: Path, config: Config) -> dict[str, Any]:
    """Read and decode every photo below `root` and return the findings as JSON values.

    `fatal` holds the sentences with which training under `config` would refuse the photos. `warnings` holds the problems that it would
    accept, and `notes` the sentences about the photos that it would log. The splits are the same as in training, even if validation is
    drawn from train.
    """
    findings: dict[str, Any] = {
        "data": one_line(root),
        "fatal": [],
        "warnings": [],
        "notes": [],
        "splits": {},
        "unreadable": [],
        "in_two_splits": [],
        "in_two_classes": [],
        "large": [],
    }
    try:
        photos = load_photo_set({"training": root}, validation_share=config.validation_share, seed=config.seed)
    except DataError as error:
        findings["fatal"].append(str(error))
        return findings
    findings["notes"] += photos.notes
    looks = _look_at(photos)
    for split in photos.splits:
        counts: dict[str, int] = {}
        for look in looks:
            if look.split == split:
                counts[look.label] = counts.get(look.label, 0) + 1
        findings["splits"][split] = {"photos": sum(counts.values()), "classes": counts}
    findings["unreadable"] = [{"path": one_line(look.path), "reason": look.problem} for look in looks if look.problem]
    findings["notes"] += _odd(looks)
    findings["large"] = [
        {"path": one_line(look.path), "megapixels": round(look.pixels / 1e6, 1)}
        for look in looks
        if look.pixels > LARGE_PIXELS
    ]
    findings["in_two_splits"] = _shared(looks, lambda look: look.split)
    findings["in_two_classes"] = _shared(looks, lambda look: look.label)
    findings["fatal"] += faults(photos.splits, _missing(photos, looks), config.max_unreadable, photos.classes)
    _warn(findings)
    return findings


def report(findings: dict[str, Any]) -> str:
    """Return the findings as one screen of text."""
    lines = []
    for split, held in findings["splits"].items():
        counts = held["classes"].values()
        spread = f"{min(counts)} to {max(counts)} a class" if counts else "none"
        lines.append(f"{split:<11}{held['photos']:>7,} photos in {len(counts)} classes, {spread}")
    for key, title in (
        ("unreadable", "unreadable"),
        ("in_two_splits", "in two splits"),
        ("in_two_classes", "in two classes"),
        ("large", "very large"),
    ):
        items = findings[key]
        if items:
            lines.append(f"{title}: {len(items)}")
            lines += ["  " + "; ".join(str(value) for value in item.values()) for item in items[:LISTED]]
            if len(items) > LISTED:
                lines.append(f"  and {len(items) - LISTED} more (--json lists all)")
    lines += [f"note: {text}" for text in findings["notes"]]
    lines += [f"warning: {text}" for text in findings["warnings"]]
    lines += [f"training would fail: {text}" for text in findings["fatal"]]
    return "\n".join(map(one_line, lines if findings["fatal"] else [*lines, "training can start"]))


def command(options: Namespace) -> int:
    """`byoc data check`: print the findings. Returns 1 if training would fail."""
    findings = survey(options.data, Config())
    looked = None
    if options.look is not None and not findings["fatal"]:
        from launch import look  # imported here, because most checks do not need it

        looked = look.look(options)
    if options.json:
        print(json.dumps(findings | ({"look": looked.to_json()} if looked else {}), indent=2))
    else:
        print("\n".join([*(map(one_line, looked.lines()) if looked else []), report(findings)]))
    return int(bool(findings["fatal"]))


def _look_at(photos: PhotoSet) -> list[_Look]:
    files = [
        (photo.path, split, photos.classes[photo.label]) for split, held in photos.splits.items() for photo in held
    ]
    # Pillow releases the interpreter's lock while it decodes, so threads use all cores. Trap: Ctrl-C inside the pool's own code
    # may leave one of its locks taken, and then shutdown() never returns (seen once). So an interrupt does not shut down the
    # pool.
    pool = ThreadPoolExecutor(os.cpu_count())
    with Progress("check", len(files), "photos") as progress:
        looks = []
        for look in pool.map(lambda file: _look(*file), files):
            looks.append(look)
            progress.advance()
    pool.shutdown()
    return looks


def _look(path: Path, split: str, label: str) -> _Look:
    try:
        data = read_photo(path)
        look = look_at(data, short_side=SHORT_SIDE)
    except PhotoError as error:
        return _Look(path=path, split=split, label=label, problem=str(error))
    digest, pixels = hashlib.sha256(data).hexdigest(), look.size[0] * look.size[1]
    return _Look(path=path, split=split, label=label, digest=digest, pixels=pixels, notes=look.notes)


def _odd(looks: list[_Look]) -> list[str]:
    """Return one sentence for each note about photos that are odd but can be read."""
    first: dict[str, list[_Look]] = {}
    for look in looks:
        for note in look.notes:
            first.setdefault(note, []).append(look)
    return [f"{len(found)} photos, first {one_line(found[0].path)}: {note}" for note, found in first.items()]


def _shared(looks: list[_Look], place: Callable[[_Look], str]) -> list[dict[str, str]]:
    """Return pairs of photos that have the same bytes but different places. `place` returns a photo's split or class."""
    first: dict[str, _Look] = {}
    shared = []
    for look in looks:
        if look.digest is None:
            continue
        other = first.setdefault(look.digest, look)
        if place(other) != place(look):
            shared.append({"path": one_line(other.path), "also": one_line(look.path)})
    return shared


def _missing(photos: PhotoSet, looks: list[_Look]) -> dict[str, dict[int, str]]:
    """Return, by split, the index of each photo that cannot be read, with the reason."""
    rest = iter(looks)  # the findings are in the order of the splits
    return {
        split: {place: look.problem for place, look in enumerate(islice(rest, len(held))) if look.problem}
        for split, held in photos.splits.items()
    }


def _warn(findings: dict[str, Any]) -> None:
    if findings["in_two_splits"]:
        findings["warnings"].append(
            f"{len(findings['in_two_splits'])} photos are in two splits; do not trust an accuracy that is measured on them"
        )
    if findings["in_two_classes"]:
        findings["warnings"].append(
            f"{len(findings['in_two_classes'])} photos are in two classes; keep each in the class that it shows"
        )
    trained = findings["splits"].get("train", {}).get("classes", {})
    for split, held in findings["splits"].items():
        absent = sorted(trained.keys() - held["classes"].keys())
        if absent:
            findings["warnings"].append(
                f"{split} has no photos of {len(absent)} of the {len(trained)} classes, first {absent[0]!r}"
            )
    if trained and max(trained.values()) > IMBALANCE * min(trained.values()):
        findings["warnings"].append(
            f"the classes of train hold {min(trained.values())} to {max(trained.values())} photos; rare ones are learnt badly"
        )
