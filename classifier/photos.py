"""Labelled photos: their splits, classes and files. Imports no torch and decodes nothing."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import DataError
from classifier.folders import ByClass, Found, look, named, notes, sort_files, unlisted
from classifier.manifest import SUFFIXES, manifests_in, read_manifest
from classifier.names import alike, is_system, look_alikes, one_line
from classifier.recordio import list_records, records_in, refuse_below

# The spellings users have for each split, in any case; the first is SageMaker's usual channel name.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "eval", "evaluation", "dev"),
    "test": ("test", "testing"),
}
# Such a name in another one: training_set, seg_train, TrainData, val2017.
_LIKE_SPLIT = {
    split: re.compile(rf"(?<![^\W_])({'|'.join(names)})(set|data|images)?(?![^\W\d_])", re.IGNORECASE)
    for split, names in SPLITS.items()
}
# Suffixes of files that may list photos; not each is read.
_LISTS = (*SUFFIXES, ".tsv", ".txt", ".json", ".xlsx", ".xls", ".parquet")
# With this ending, a channel that holds only the list of another's photos, as for SageMaker's built-in algorithm.
LIST_CHANNEL = "_lst"


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
        return " and ".join(map(str, self.records)) or str(self.manifest or self.folder)

    def unread(self) -> list[Path]:
        """Return what lies beside RecordIO files: im2rec leaves its list there, and the photos may still be there."""
        return manifests_in(self.folder) + sort_files(self.folder, Found()) if self.records else []


def load_photo_set(channels: Mapping[str, Path], *, validation_share: float, seed: int) -> PhotoSet:
    """List the photos of every split; without validation, a share of each class of train becomes it.

    `channels` are folders by name: train, validation and test in one of the spellings in SPLITS, each with a folder per
    class or a manifest (or its list in a channel `train_lst`, ...); or one channel of any name whose sub-folders have these
    names, or which is train itself. Raises DataError for whatever cannot be trained on.
    """
    sources, unread, beside = _find_sources(channels)
    found = {split: _list(source) for split, source in sources.items()}
    like_splits = _refuse_renamed_splits(sources["train"], found["train"])
    listed = {split: held.classes for split, held in found.items()}
    classes = _check(sources, found, [*unread, *beside.other])
    told = [
        f"{one_line(path)} is not read; the photos come from {', '.join(map(str, sources.values()))}" for path in unread
    ]
    told += notes([*found.values(), beside])
    told += [
        f"the classes {', '.join(map(repr, group))} differ only by case or blanks; if they are one class, give it one name"
        for group in look_alikes(classes)
    ]
    if like_splits:
        told.append(
            f"the classes {', '.join(map(repr, like_splits))} are named like splits; if they are splits, name them train, "
            "validation and test and put a folder per class into each"
        )
    if "validation" not in listed:
        listed, of_split = _split_off(listed, sources["train"].folder, validation_share, seed)
        told += of_split
    index = {name: label for label, name in enumerate(classes)}
    photos = {
        split: tuple(Photo(path, index[name]) for name, files in by_class.items() for path in files)
        for split, by_class in listed.items()
    }
    return PhotoSet(classes, photos, tuple(told))


def _find_sources(channels: Mapping[str, Path]) -> tuple[dict[str, _Source], list[Path], Found]:
    """Return the source of each split that is there, the folders and manifests left unread, and files beside the splits."""
    folders, unread, beside, left_out = dict(channels), list[Path](), Found(), Found()
    splits = [name for name in channels if _split_of(name)]
    if len(channels) == 1 or len(splits) == 1:
        name = splits[0] if splits else next(iter(channels))
        root = channels[name]
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; name one that holds train/ with a folder per class or a manifest")
        inside = {path.name: path for path in sort_files(root, beside)}
        left_out = Found(other=beside.other)
        manifests = manifests_in(root) + records_in(root)
        others = [path for other, path in channels.items() if other != name]
        if _hold_splits(name, inside):
            folders, unread = inside, [*manifests, *others]
            beside.other = [path for path in beside.other if path not in manifests]
        else:
            if not others and _split_of(name) in (None, "train"):
                folders = {"train": root} if inside or beside.loose or manifests else {}
            beside = Found()
    sources, used = {}, set()
    for split in SPLITS:
        spelling = _spelling(split, folders)
        if spelling is not None:
            sources[split] = _source(spelling, folders)
            used |= {spelling} if sources[split].records else {spelling, spelling + LIST_CHANNEL}
    if "train" not in sources:
        where = ", ".join(f"{name}={path}" for name, path in channels.items()) or "no channel"
        raise DataError(
            f"no train photos in {where}; add a folder or channel named train with a folder per class or a manifest"
            + _left_out(left_out)
        )
    unread += [folder for name, folder in folders.items() if name not in used]
    return sources, unread + [path for source in sources.values() for path in source.unread()], beside


def _split_of(name: str) -> str | None:
    """Return the split that a folder's or channel's name stands for."""
    plain = name.removesuffix(LIST_CHANNEL).casefold()
    return next((split for split, spellings in SPLITS.items() if plain in spellings), None)


def _spelling(split: str, names: Iterable[str]) -> str | None:
    """Return the name that stands for a split, without the ending of a list; the usual spelling goes first."""
    there = sorted({name.removesuffix(LIST_CHANNEL) for name in names if _split_of(name) == split})
    return min(there, key=lambda name: (SPLITS[split].index(name.casefold()), name.casefold() != name), default=None)


def _hold_splits(channel: str, names: Iterable[str]) -> bool:
    """Return whether the folders in the one channel are splits; in a channel named train, a single one may be a class."""
    splits = {split for name in names if (split := _split_of(name))}
    return {"train"} < splits if channel == "train" else bool(splits)


def _source(name: str, folders: Mapping[str, Path]) -> _Source:
    folder, listing = folders.get(name), folders.get(name + LIST_CHANNEL)
    if folder is None:
        raise DataError(f"{listing} lists photos, but there are none; add them as a folder or channel named {name}")
    for path in (folder, listing):
        if path is not None and not path.is_dir():
            raise DataError(f"{path} is not a folder; name one that holds a folder of photos per class or a manifest")
    records = records_in(folder)
    if records:
        return _Source(folder, None, tuple(records))
    held = manifests_in(listing or folder)
    if len(held) > 1:
        names = ", ".join(path.name for path in held)
        raise DataError(f"{listing or folder} holds {len(held)} manifests ({names}); leave one of them")
    if listing and not held:
        raise DataError(f"{listing} holds no .lst file; put the list of the photos in {folder} there")
    return _Source(folder, held[0] if held else None)


def _list(source: _Source) -> Found:
    """Return what a split holds; raises DataError when it holds splits in its turn."""
    if source.records:
        return Found(list_records(source.records, SPLITS))
    if source.manifest:
        classes = read_manifest(source.manifest, source.folder)
        _refuse_absent(source, [path for files in classes.values() for path in files])
        system = [path for files in classes.values() for path in files if is_system(path.name)]
        if system:
            classes = {name: [path for path in files if not is_system(path.name)] for name, files in classes.items()}
        listed = (path for files in classes.values() for path in files)
        return Found(classes, system=system, unlisted=unlisted(source.folder, listed))
    found = look(source.folder)
    if not any(found.classes.values()):
        refuse_below(source.folder, found.other)
    inside = {source.folder: set(found.classes)}
    for path in found.nested:
        label, below, *_ = path.relative_to(source.folder).parts
        inside.setdefault(source.folder / label, set()).add(below)
    for folder, names in inside.items():
        _refuse_splits(folder, names)
    return found


def _refuse_absent(source: _Source, files: list[Path]) -> None:
    """Raise DataError when none of the files that a manifest lists is there."""
    if not files or any(os.path.lexists(path) or path.parent.is_file() for path in files):  # a record is in its file
        return
    written = files[0].relative_to(source.folder)
    ends = (Path(*written.parts[start:]) for start in range(1, len(written.parts)))
    end = next((end for end in ends if os.path.lexists(source.folder / end)), None)
    raise DataError(
        f"none of the {len(files):,} files that {source.manifest} lists is there, as {one_line(written)}; write their paths "
        f"relative to {source.folder}" + (f", as {one_line(end)}" if end else "")
    )


def _refuse_splits(folder: Path, names: Iterable[str]) -> None:
    splits = {name: split for name in sorted(names) if (split := _split_of(name))}
    if "train" in splits.values() and len(set(splits.values())) > 1:
        raise DataError(
            f"{folder} holds the folders {', '.join(splits)}, which are splits and not classes; name {folder} as the one "
            "folder of all photos, or put each class's folder below train, validation and test"
        )


def _refuse_renamed_splits(source: _Source, found: Found) -> list[str]:
    """Return the classes that are named like train and like another split, as training_set beside test_set.

    Raises DataError where all their photos lie in subfolders, which then are the classes.
    """
    nested = set(found.nested)
    like = {
        name: split
        for name, files in found.classes.items()
        if files and (split := next((split for split, words in _LIKE_SPLIT.items() if words.search(name)), None))
    }
    if source.manifest or "train" not in like.values() or len(set(like.values())) < 2:
        return []
    if all(path in nested for name in like for path in found.classes[name]):
        raise DataError(
            f"{source.folder} holds the folders {', '.join(like)}, whose names are like those of splits and whose photos lie in "
            "subfolders; if they are splits, name them train, validation and test"
        )
    return list(like)


def _check(sources: Mapping[str, _Source], found: Mapping[str, Found], unread: Sequence[Path]) -> tuple[str, ...]:
    """Return the classes, in train's order; raises DataError for too few, an empty split, or one that train lacks."""
    train = sources["train"]
    classes = tuple(name for name, files in found["train"].classes.items() if files)
    for split, held in found.items():
        if held.loose and not any(held.classes.values()):
            raise DataError(
                f"{sources[split]} holds {len(held.loose):,} photos that lie in no class folder ({named(held.loose)}); put each "
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
            f"manifest{hint}{_left_out(found['train'])}"
        )
    for split, held in found.items():
        for name in (name for name, files in held.classes.items() if files and name not in classes):
            near = next((known for known in classes if alike(known) == alike(name)), None)
            there = f", which has {near!r}; give both one name" if near else "; add photos of it to train or remove it"
            raise DataError(
                f"the class {name!r} is in {sources[split]} but not in {train}{there}{_left_out(found['train'])}"
            )
        if not any(held.classes.values()):
            raise DataError(
                f"{sources[split]} holds no photos; put a folder with photos per class or a manifest into it"
                + _left_out(held)
            )
    return classes


def _left_out(found: Found) -> str:
    """Return what a refusal says of what was left out of a split, since its notes are lost."""
    return "".join(f"; {sentence}" for sentence in notes([Found(empty=found.empty, other=found.other)]))


def _lists(files: Sequence[Path], source: _Source) -> str:
    """Return what a refusal says of files that may list the photos but are not read as their manifest."""
    lists = [path for path in files if path.suffix.lower() in _LISTS]
    return f"; {named(lists)} is not read: a manifest is a {', '.join(SUFFIXES)} in {source.folder}" if lists else ""


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
    told = [
        f"no validation photos were given: {taken:,} of the {total:,} train photos are used for validation "
        f"(validation-share {share:g}, seed {seed})"
    ]
    single = [name for name, files in listed["train"].items() if len(files) == 1]
    if single:
        shown = ", ".join(map(repr, single[:5])) + (", ..." if len(single) > 5 else "")
        told.append(
            f"classes with a single photo: {len(single)} ({shown}); it stays in train, so validation says nothing about them"
        )
    splits = {"train": train, "validation": validation}
    return splits | {split: by_class for split, by_class in listed.items() if split != "train"}, told
