"""Labelled photos: their splits, classes and files. Imports no torch and decodes nothing."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import DataError
from classifier.manifest import manifests_in, read_manifest
from classifier.recordio import list_records, records_in

# The spellings users have for each split; the first is SageMaker's usual channel name.
SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
# With this ending, a channel that holds only the list of another's photos, as for SageMaker's built-in algorithm.
LIST_CHANNEL = "_lst"

ByClass = dict[str, list[Path]]


@dataclass(frozen=True)
class Photo:
    """One file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class PhotoSet:
    """Classes in the order of the model's outputs, the photos of each split, and what the user should know of them."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Photo, ...]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """Where a split comes from: a folder of class folders, a manifest of the photos below the folder, or RecordIO files."""

    folder: Path
    manifest: Path | None
    records: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return ", ".join(map(str, self.records)) or str(self.manifest or self.folder)

    def unread(self) -> list[Path]:
        """Return what lies beside the RecordIO files: im2rec leaves its list there, and the photos may still be there."""
        folders = [entry for entry in _visible(self.folder) if entry.is_dir()] if self.records else []
        return manifests_in(self.folder) + folders if self.records else []


def load_photo_set(channels: Mapping[str, Path], *, validation_share: float, seed: int) -> PhotoSet:
    """List the photos of every split; without validation, a share of each class of train becomes it.

    `channels` are folders by name: `train`, `validation` (or `valid`, `val`) and `test`, each with a folder per class or a
    manifest (or its list in a channel `train_lst`, ...); or one channel of any name whose sub-folders have these names,
    or which is train itself. Raises DataError for whatever cannot be trained on.
    """
    sources, notes = _find_sources(channels)
    listed = {split: _list(source) for split, source in sources.items()}
    classes = _check(sources, listed)
    if "validation" not in listed:
        listed, told = _split_off(listed, sources["train"].folder, validation_share, seed)
        notes += told
    index = {name: label for label, name in enumerate(classes)}
    photos = {
        split: tuple(Photo(path, index[name]) for name, files in by_class.items() for path in files)
        for split, by_class in listed.items()
    }
    return PhotoSet(classes, photos, tuple(notes))


def _find_sources(channels: Mapping[str, Path]) -> tuple[dict[str, _Source], list[str]]:
    """Return the source of each split that is there, and notes on what is left unread."""
    known = [name + ending for names in SPLITS.values() for name in names for ending in ("", LIST_CHANNEL)]
    folders, unread = dict(channels), []
    if "train" not in channels and len(channels) == 1:
        (root,) = channels.values()
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; name one that holds train/ with a folder per class or a manifest")
        inside = {entry.name: entry for entry in _visible(root) if entry.is_dir()}
        if any(name in inside for name in known):
            folders, unread = inside, manifests_in(root) + records_in(root)
        elif inside or manifests_in(root) or records_in(root):
            folders = {"train": root}
    sources, used = {}, set()
    for split, names in SPLITS.items():
        name = next((name for name in names if name in folders or name + LIST_CHANNEL in folders), None)
        if name is not None:
            sources[split] = _source(name, folders)
            used |= {name} if sources[split].records else {name, name + LIST_CHANNEL}
    if "train" not in sources:
        where = ", ".join(f"{name}={path}" for name, path in channels.items()) or "no channel"
        raise DataError(
            f"no train photos in {where}; add a folder or channel named train with a folder per class or a manifest"
        )
    unread += [folder for name, folder in folders.items() if name not in used]
    unread += [path for source in sources.values() for path in source.unread()]
    return sources, [
        f"{path} is not read; the photos come from {', '.join(map(str, sources.values()))}" for path in unread
    ]


def _source(name: str, folders: Mapping[str, Path]) -> _Source:
    folder, listing = folders.get(name), folders.get(name + LIST_CHANNEL)
    if folder is None:
        raise DataError(f"{listing} lists photos, but there are none; add them as a folder or channel named {name}")
    for path in (folder, listing):
        if path is not None and not path.is_dir():
            raise DataError(f"{path} is not a folder; name one that holds a folder of photos per class or a manifest")
    records = tuple(records_in(folder))
    if records:
        return _Source(folder, None, records)
    held = manifests_in(listing or folder)
    if len(held) > 1:
        names = ", ".join(path.name for path in held)
        raise DataError(f"{listing or folder} holds {len(held)} manifests ({names}); leave one of them")
    if listing and not held:
        raise DataError(f"{listing} holds no .lst file; put the list of the photos in {folder} there")
    return _Source(folder, held[0] if held else None)


def _list(source: _Source) -> ByClass:
    """Return the files of each class, sorted."""
    if source.records:
        return list_records(source.records, SPLITS)
    if source.manifest:
        return read_manifest(source.manifest, source.folder)
    return {entry.name: _files(entry) for entry in _visible(source.folder) if entry.is_dir()}


def _visible(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted, so that the order of listing never matters; hidden entries are left out."""
    return [folder / entry.name for entry in _scan(folder)]


def _files(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in _scan(folder) if not entry.is_dir()]


def _scan(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        # The listing says what is a folder; asking for each of 100,000 photos takes a second.
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except PermissionError as error:
        raise DataError(f"{error.filename} cannot be listed; give yourself read permission on it") from error


def _check(sources: Mapping[str, _Source], listed: Mapping[str, ByClass]) -> tuple[str, ...]:
    """Return the classes, in train's order; raises DataError for too few, an empty split, or one that train lacks."""
    train = sources["train"]
    classes = tuple(name for name, files in listed["train"].items() if files)
    if len(classes) < 2:
        held = f"only the class {classes[0]!r}" if classes else "no class folder with photos and no manifest"
        held = "no photos" if train.manifest and not classes else held
        raise DataError(
            f"{train} holds {held}; training needs at least two classes, each a folder of photos or a label in a manifest"
        )
    for split, by_class in listed.items():
        unknown = [name for name, files in by_class.items() if files and name not in classes]
        if unknown:
            raise DataError(
                f"the class {unknown[0]!r} is in {sources[split]} but not in {train}; add photos of it to train or remove it"
            )
        if not any(by_class.values()):
            raise DataError(
                f"{sources[split]} holds no photos; put a folder with photos per class or a manifest into it"
            )
    return classes


def _split_off(
    listed: Mapping[str, ByClass], folder: Path, share: float, seed: int
) -> tuple[dict[str, ByClass], list[str]]:
    """Return the splits with a share of each class of train moved to validation, and the sentences to tell.

    A photo's rank in its class is a hash of the seed and its path below `folder`, so the split depends neither on where
    the folder lies nor on what the other classes hold.
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
    notes = [
        f"no validation photos were given: {taken:,} of the {total:,} train photos are used for validation "
        f"(validation-share {share:g}, seed {seed})"
    ]
    single = [name for name, files in listed["train"].items() if len(files) == 1]
    if single:
        named = ", ".join(map(repr, single[:5])) + (", ..." if len(single) > 5 else "")
        notes.append(
            f"classes with a single photo: {len(single)} ({named}); it stays in train, so validation says nothing about them"
        )
    splits = {"train": train, "validation": validation}
    return splits | {split: by_class for split, by_class in listed.items() if split != "train"}, notes
