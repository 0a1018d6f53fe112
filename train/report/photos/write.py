"""Writes the records `mislabelled`, `near_duplicates` and `thumbnails`, which docs/records.md describes."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.images import read_photo
from classifier.names import one_line
from classifier.photos import Photo
from train.features import Features
from train.finish import Outcome
from train.report.photos.answers import Answer, notable
from train.report.photos.duplicates import LEAST, Duplicates, near_duplicates
from train.report.photos.pool import Pool, pooled
from train.report.photos.suspects import Suspects, mislabelled
from train.report.photos.thumbnails import thumbnails
from train.setup import Setup

LISTED = 200  # the most suspects in the records
SHOWN, SHOWN_PAIRS = 48, 24  # how many suspects and near-duplicates, from the start of their lists, have thumbnails


def write_photos(setup: Setup, splits: Mapping[str, Features], outcome: Outcome) -> None:
    """Write the records about notable photos. Every process must call it; the chief alone writes.

    The model is written by then, so an error is printed and does not make the job fail.
    """
    pool = pooled(splits, setup.config.views, setup.world)
    if not setup.world.chief:
        return
    try:
        _write(setup, splits, outcome, _compare(pool, len(setup.start.spec.classes)))
    except Exception as error:
        print(f"the report will show no photos: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """The results of comparing photos with each other."""

    pool: Pool
    suspects: Suspects
    duplicates: Duplicates

    def shown(self) -> list[int]:
        """Return the places of the photos that are shown."""
        pairs = () if self.duplicates.meaningless else self.duplicates.pairs[:SHOWN_PAIRS]
        return [one.place for one in self.suspects.found[:SHOWN]] + [
            place for pair in pairs for place in (pair.first, pair.second)
        ]


def _compare(pool: Pool, classes: int) -> _Compared:
    return _Compared(
        pool=pool,
        suspects=mislabelled(pool.features, pool.labels, classes),
        duplicates=near_duplicates(pool.features, pool.splits),
    )


@dataclass(frozen=True, kw_only=True)
class _Describer:
    """Writes a photo as JSON values: its path below input/data, its class, and its thumbnail if there is one."""

    data: Path
    classes: tuple[str, ...]
    jpegs: Mapping[Path, str]

    def photo(self, photo: Photo, split: str) -> dict[str, Any]:
        path = photo.path.relative_to(self.data) if photo.path.is_relative_to(self.data) else photo.path
        values = {"path": one_line(path), "split": split, "label": self.classes[photo.label]}
        return values | ({"jpeg": self.jpegs[photo.path]} if photo.path in self.jpegs else {})


def _write(setup: Setup, splits: Mapping[str, Features], outcome: Outcome, compared: _Compared) -> None:
    answers = {
        name: notable(logits / setup.start.model.temperature, labels)
        for name, (logits, labels) in outcome.outputs.items()
    }
    shown = [compared.pool.photos[place].path for place in compared.shown()]
    shown += [splits[name].photos[answer.place].path for name, held in answers.items() for answer in held]
    pack = setup.feature_pass.pack
    describer = _Describer(
        data=setup.job.base / "input" / "data",
        classes=setup.start.spec.classes,
        jpegs=thumbnails(list(dict.fromkeys(shown)), pack.read if pack else read_photo),
    )
    write = setup.report.records.write
    write("mislabelled", **_mislabelled(compared, describer))
    write("near_duplicates", **_duplicates(compared, describer))
    for name, held in answers.items():
        write("thumbnails", split=name, photos=list(_answers(held, splits[name].photos, name, describer)))


def _mislabelled(compared: _Compared, describer: _Describer) -> dict[str, Any]:
    pool, suspects = compared.pool, compared.suspects
    photos = [
        describer.photo(pool.photos[one.place], pool.names[int(pool.splits[one.place])])
        | {"suggestion": describer.classes[one.suggestion], "score": round(one.score, 4)}
        for one in suspects.found[:LISTED]
    ]
    return {"photos": photos, "count": len(suspects.found), "judged": suspects.judged, "of": pool.of}


def _duplicates(compared: _Compared, describer: _Describer) -> dict[str, Any]:
    pool, duplicates = compared.pool, compared.duplicates

    def photo(place: int) -> dict[str, Any]:
        return describer.photo(pool.photos[place], pool.names[int(pool.splits[place])])

    pairs = [
        {"first": photo(pair.first), "second": photo(pair.second), "cosine": round(pair.cosine, 4)}
        for pair in duplicates.pairs
        if not duplicates.meaningless
    ]
    return {"pairs": pairs, "count": duplicates.count, "compared": duplicates.compared, "least_cosine": LEAST}


def _answers(
    answers: list[Answer], photos: tuple[Photo, ...], split: str, describer: _Describer
) -> Iterator[dict[str, Any]]:
    for answer in answers:
        held = describer.photo(photos[answer.place], split)
        yield {
            "path": held["path"],
            "truth": held["label"],
            "prediction": describer.classes[answer.prediction],
            "probability": round(answer.probability, 4),
            "margin": round(answer.margin, 4),
            "reasons": answer.reasons,
            **({"jpeg": held["jpeg"]} if "jpeg" in held else {}),
        }
