"""A folder of labelled photos: its splits, classes and files. Imports no torch and decodes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import DataError

# The spellings users have for each split; the first is SageMaker's usual channel name.
SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}


@dataclass(frozen=True)
class Photo:
    """One file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class PhotoSet:
    """Classes in the order of the model's outputs, and the photos of each split."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Photo, ...]]


def find_splits(folders: Mapping[str, Path]) -> dict[str, Path]:
    """Map split names to folders from named channels, or from one folder that holds the splits.

    `folders` are channels by name: `train`, `validation` (or `valid`, `val`) and `test`, or a single `training` (or any
    other single channel) whose sub-folders have these names. Raises DataError when train or validation is missing.
    """
    found = {split: folders[name] for split, names in SPLITS.items() for name in names if name in folders}
    if "train" not in found and len(folders) == 1:
        (root,) = folders.values()
        if not root.is_dir():
            raise DataError(
                f"{root} is not a folder; name one that holds train/ and validation/ with a folder per class"
            )
        found = {split: root / name for split, names in SPLITS.items() for name in names if (root / name).is_dir()}
    for split in ("train", "validation"):
        if split not in found:
            where = ", ".join(f"{name}={path}" for name, path in folders.items()) or "no channel"
            raise DataError(f"no {split} photos in {where}; add a folder or channel named {' or '.join(SPLITS[split])}")
    return found


def list_photos(splits: Mapping[str, Path]) -> PhotoSet:
    """List the photos of every split; the classes are the names of train's sub-folders, sorted.

    Raises DataError for a missing or empty folder, fewer than two classes, and a class that training lacks.
    """
    listed = {split: list_classes(folder) for split, folder in splits.items()}
    classes = tuple(name for name, files in listed["train"].items() if files)
    if len(classes) < 2:
        held = f"only the class {classes[0]!r}" if classes else "no class folder with photos"
        raise DataError(f"{splits['train']} holds {held}; training needs at least two folders, one per class")
    index = {name: label for label, name in enumerate(classes)}
    for split, by_class in listed.items():
        unknown = [name for name, files in by_class.items() if files and name not in index]
        if unknown:
            raise DataError(
                f"the class {unknown[0]!r} is in {splits[split]} but not in {splits['train']}; "
                "add photos of it to train or remove the folder"
            )
        if not any(by_class.values()):
            raise DataError(f"{splits[split]} holds no photos; put a folder with photos per class into it")
    photos = {
        split: tuple(Photo(path, index[name]) for name, files in by_class.items() for path in files)
        for split, by_class in listed.items()
    }
    return PhotoSet(classes, photos)


def list_classes(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each class folder, sorted; hidden files and folders are left out."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name one that holds a folder of photos per class")
    try:
        return {
            entry.name: sorted(file for file in entry.iterdir() if not file.is_dir() and not file.name.startswith("."))
            for entry in sorted(folder.iterdir())
            if entry.is_dir() and not entry.name.startswith(".")
        }
    except PermissionError as error:
        raise DataError(f"{error.filename} cannot be listed; give yourself read permission on it") from error
