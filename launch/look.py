"""`byoc data check --look`: lists photos that look mislabelled, and near-duplicates across splits, from the records of a run."""

import tempfile
from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from classifier.errors import DataError
from classifier.names import one_line
from classifier.photos import load_photo_set
from launch.training import Recipe, train
from reports.photos.facts import Photo, Photos
from reports.sources.run import read_run
from train.config import Config

SHOWN = 20  # number of photos in each list on the screen; --json has all


@dataclass(frozen=True, kw_only=True)
class Mislabelled:
    """A photo that looks mislabelled. `score`, from 0 to 1, is how much likelier the suggested class is than the label."""

    path: str
    label: str
    suggestion: str
    score: float


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Two photos in different splits that are nearly the same."""

    path: str
    also: str
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Looked:
    """The findings of a run's records about photos that still exist with the same label.

    `changed` counts the findings about other photos.
    """

    source: str
    judged: int
    mislabelled: tuple[Mislabelled, ...]
    near_duplicates: tuple[NearDuplicates, ...]
    changed: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the lists as lines of text."""
        lines = [f"look mislabelled: {len(self.mislabelled)} of {self.judged:,} photos, by {self.source}"]
        lines += [
            f"  {one.path}: labelled {one.label}, looks like {one.suggestion} (score {one.score:.2f})"
            for one in self.mislabelled[:SHOWN]
        ]
        lines += _more(len(self.mislabelled))
        lines.append(f"near-duplicates across splits: {len(self.near_duplicates)}")
        lines += [f"  {one.path}; {one.also} (cosine {one.cosine:.3f})" for one in self.near_duplicates[:SHOWN]]
        lines += _more(len(self.near_duplicates))
        if self.changed:
            lines.append(f"{self.changed} more were listed in the records, but are gone or have another label now")
        return lines


def look(options: Namespace) -> Looked:
    """Return the findings about the photos from the records of the run that --look names. Without a name, train a head in a short job and
    use its records.

    Raises DataError if the records hold no such findings, and UserError if the job fails.
    """
    if options.look:
        return looked(options.look, options.data)
    recipe = Recipe(
        data=options.data,
        hyperparameters={"epochs": "1"} | ({"backbone": options.backbone} if options.backbone else {}),
        channels={"pretrained": options.pretrained} if options.pretrained else {},
        feature_cache=options.feature_cache,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), recipe, {}, quiet=True, kept=False)
        return looked(Path(folder), options.data, "a head that was trained for this check")


def looked(run: Path, data: Path, source: str = "") -> Looked:
    """Return the findings about the photos below `data` from the records of a run. Raises DataError if the records hold none."""
    found, _ = read_run(run)
    if found is None:
        raise DataError(
            f"--look {one_line(run)} holds no records of a run (records.jsonl); name the folder that byoc train wrote"
        )
    held = found.photos
    if held.suspects is None:
        raise DataError(
            f"the records of {one_line(run)} hold no findings about single photos: the job was a trial of a tuning job, "
            "was stopped, or ran with an earlier version; train again"
        )
    places = _Places.of(data)
    mislabelled = [
        Mislabelled(path=one_line(path), label=one.photo.label, suggestion=one.suggestion, score=one.score)
        for one in held.suspects.photos
        if (path := places.find(one.photo))
    ]
    pairs = [
        NearDuplicates(path=one_line(first), also=one_line(second), cosine=pair.cosine)
        for pair in (held.duplicates.pairs if held.duplicates else ())
        if (first := places.find(pair.first)) and (second := places.find(pair.second))
    ]
    return Looked(
        source=source or f"the records of {one_line(run)}",
        judged=held.suspects.judged,
        mislabelled=tuple(mislabelled),
        near_duplicates=tuple(pairs),
        changed=_listed(held) - len(mislabelled) - len(pairs),
    )


def _listed(held: Photos) -> int:
    return len(held.suspects.photos if held.suspects else ()) + len(held.duplicates.pairs if held.duplicates else ())


@dataclass(frozen=True, kw_only=True)
class _Places:
    """The photos below a folder with their present labels."""

    data: Path
    labels: dict[str, str]

    @classmethod
    def of(cls, data: Path) -> "_Places":
        config = Config()
        photos = load_photo_set({"training": data}, validation_share=config.validation_share, seed=config.seed)
        held = [photo for split in photos.splits.values() for photo in split]
        return cls(data=data, labels={one_line(photo.path): photos.classes[photo.label] for photo in held})

    def find(self, photo: Photo) -> Path | None:
        """Return the path of a recorded photo. None if the photo is gone or has another label now.

        Records name a photo by its channel and its path in the channel. The channel is the folder itself, or a folder in it.
        """
        below = PurePosixPath(photo.path)
        paths = (self.data / Path(*below.parts[1:]), self.data / below)
        return next((path for path in paths if self.labels.get(one_line(path)) == photo.label), None)


def _more(count: int) -> list[str]:
    return [f"  and {count - SHOWN} more (--json lists all)"] if count > SHOWN else []
