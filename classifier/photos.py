"""Labelled photos: their splits, classes and files. Imports no torch and decodes nothing."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import DataError
from classifier.folders import ByClass, Found, left_out, named, notes
from classifier.manifest import SUFFIXES
from classifier.names import alike, look_alikes, one_line
from classifier.sources import Source, find_sources, list_source
from classifier.splits import resembles

# Suffixes of files that may be lists of photos. Those beyond SUFFIXES are never read as a manifest.
_LISTS = (*SUFFIXES, ".tsv", ".txt", ".json", ".xlsx", ".xls", ".parquet")


@dataclass(frozen=True)
class Photo:
    """One photo's path, and its label: the index of its class. A photo in a RecordIO file has a path below that file."""

    path: Path
    label: int


@dataclass(frozen=True)
class PhotoSet:
    """Classes in the order of the model's outputs, the photos of each split, and sentences about them for the user."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Photo, ...]]
    notes: tuple[str, ...] = ()


def load_photo_set(channels: Mapping[str, Path], *, validation_share: float, seed: int) -> PhotoSet:
    """List the photos of every split. Without a validation split, a share of each class of train becomes it.

    `channels` are folders by name. Either they are named train, validation and test, in a spelling of SPLITS. Each then holds a
    folder per class or a manifest; the manifest may also be in a separate channel (`train_lst`, ...). Or there is one channel with any
    name: its subfolders have these names, or it is train itself. Raises DataError for photos that cannot be trained on.
    """
    place = find_sources(channels)
    sources = place.splits
    found = {split: list_source(source) for split, source in sources.items()}
    like_splits = _refuse_renamed_splits(sources["train"], found["train"])
    listed = {split: held.classes for split, held in found.items()}
    classes = _check(sources, found, [*place.unread, *place.beside.other])
    sentences = [
        f"{one_line(path)} is not read; the photos come from {', '.join(map(str, sources.values()))}"
        for path in place.unread
    ]
    sentences += notes([*found.values(), place.beside])
    sentences += [
        f"the classes {', '.join(map(repr, group))} differ only by case or blanks; if they are one class, give it one name"
        for group in look_alikes(classes)
    ]
    if like_splits:
        sentences.append(
            f"the classes {', '.join(map(repr, like_splits))} are named like splits; if they are splits, name them train, "
            "validation and test and put a folder per class into each"
        )
    sentences += _same_subfolders(sources["train"], found["train"])
    if "validation" not in listed:
        listed, of_split = _split_off(listed, sources["train"].folder, validation_share, seed)
        sentences += of_split
    index = {name: label for label, name in enumerate(classes)}
    photos = {
        split: tuple(Photo(path, index[name]) for name, files in by_class.items() for path in files)
        for split, by_class in listed.items()
    }
    return PhotoSet(classes, photos, tuple(sentences))


def _refuse_renamed_splits(source: Source, found: Found) -> list[str]:
    """Return the classes whose names resemble train and another split, such as training_set and test_set; empty without such classes.

    Raises DataError when all photos of these classes are in subfolders: then the subfolders are the classes.
    """
    nested = set(found.nested)
    like = {name: split for name, files in found.classes.items() if files and (split := resembles(name))}
    if source.manifest or "train" not in like.values() or len(set(like.values())) < 2:
        return []
    if all(path in nested for name in like for path in found.classes[name]):
        raise DataError(
            f"{source.folder} holds the folders {', '.join(like)}, whose names are like those of splits and whose "
            "photos are in subfolders; if they are splits, name them train, validation and test"
        )
    return list(like)


def _same_subfolders(source: Source, found: Found) -> list[str]:
    """Return a sentence if every class has all its photos in subfolders and these have the same names, as folds of a set have."""
    inside: dict[str, set[str]] = {}
    for path in found.nested:
        name, below, *_ = path.relative_to(source.folder).parts
        inside.setdefault(name, set()).add(below)
    if len(inside) < 2 or len(found.nested) < sum(map(len, found.classes.values())):
        return []
    common = sorted(set.intersection(*inside.values()))
    if len(common) < 2:
        return []
    folders = named([Path(name) for name in sorted(inside)])
    return [
        f"each of the class folders {folders} holds the folders {named([Path(name) for name in common])} and no other photos; if "
        "those are the classes, put the photos of each into one folder"
    ]


def _check(sources: Mapping[str, Source], found: Mapping[str, Found], unread: Sequence[Path]) -> tuple[str, ...]:
    """Return the classes, in train's order.

    Raises DataError for fewer than two classes, a split without photos, and a class that train lacks.
    """
    train = sources["train"]
    classes = tuple(name for name, files in found["train"].classes.items() if files)
    for split, held in found.items():
        if held.loose and not any(held.classes.values()):
            raise DataError(
                f"{sources[split]} holds {len(held.loose):,} photos that are in no class folder "
                f"({named(held.loose)}); put each "
                "into a folder named for its class, or add a manifest that names its class"
                + _lists([*held.other, *unread], sources[split])
            )
    if len(classes) < 2:
        content = f"only the class {classes[0]!r}" if classes else "no class folder with photos and no manifest"
        content = "no photos" if train.manifest and not classes else content
        hint = (
            f"; if the folders in {train.folder / classes[0]} are the classes, name that folder"
            if found["train"].nested
            else ""
        )
        raise DataError(
            f"{train} holds {content}; training needs at least two classes, each a folder of photos or a label in a "
            f"manifest{hint}{left_out(found['train'])}"
        )
    for split, held in found.items():
        for name in (name for name, files in held.classes.items() if files and name not in classes):
            near = next((known for known in classes if alike(known) == alike(name)), None)
            there = f", which has {near!r}; give both one name" if near else "; add photos of it to train or remove it"
            raise DataError(
                f"the class {name!r} is in {sources[split]} but not in {train}{there}{left_out(found['train'])}"
            )
        if not any(held.classes.values()):
            raise DataError(
                f"{sources[split]} holds no photos; put a folder with photos per class or a manifest into it"
                + left_out(held)
            )
    return classes


def _lists(files: Sequence[Path], source: Source) -> str:
    """Return the clause of a refusal about files that may be lists of the photos but are not read as a manifest."""
    lists = [path for path in files if path.suffix.lower() in _LISTS]
    return f"; {named(lists)} is not read: a manifest is a {', '.join(SUFFIXES)} in {source.folder}" if lists else ""


def _split_off(
    listed: Mapping[str, ByClass], folder: Path, share: float, seed: int
) -> tuple[dict[str, ByClass], list[str]]:
    """Return the splits with a share of each class of train moved to validation, and sentences about it for the user.

    The photos of a class are ranked by a hash of the seed and the path below `folder`. So the split depends neither on
    the folder's own path nor on the other classes.
    """
    below = f"{folder}/"

    def rank(path: Path) -> bytes:
        return hashlib.sha256(os.fsencode(f"{seed}/{str(path).removeprefix(below)}")).digest()  # relative_to is slow

    train: ByClass = {}
    validation: ByClass = {}
    for name, files in listed["train"].items():
        count = min(len(files) - 1, max(1, round(share * len(files)))) if files else 0
        moved = set(sorted(files, key=rank)[:count])
        train[name] = [path for path in files if path not in moved]
        validation[name] = [path for path in files if path in moved]
    total, taken = (sum(map(len, by_class.values())) for by_class in (listed["train"], validation))
    if not taken:
        raise DataError(
            f"no validation photos, and none can be split off {folder}, where each class has one photo; add photos"
        )
    sentences = [
        f"no validation photos were given: {taken:,} of the {total:,} train photos are used for validation "
        f"(validation-share {share:g}, seed {seed})"
    ]
    single = [name for name, files in listed["train"].items() if len(files) == 1]
    if single:
        shown = ", ".join(map(repr, single[:5])) + (", ..." if len(single) > 5 else "")
        sentences.append(
            f"classes with a single photo: {len(single)} ({shown}); it stays in train, so validation says nothing about them"
        )
    splits = {"train": train, "validation": validation}
    return splits | {split: by_class for split, by_class in listed.items() if split != "train"}, sentences
