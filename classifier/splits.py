"""The names of splits: recognises the folders and channels that mean train, validation and test. Imports no torch."""

import re
from collections.abc import Iterable
from pathlib import Path

from classifier.errors import DataError

# The spellings that users have for each split, in any case. The first is SageMaker's usual channel name.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "eval", "evaluation", "dev"),
    "test": ("test", "testing"),
}
# A channel whose name has this ending holds only the list of another channel's photos, as for the built-in algorithm.
LIST_CHANNEL = "_lst"

# Matches a longer name that contains such a spelling: training_set, seg_train, TrainData, val2017.
_CONTAINS = {
    split: re.compile(rf"(?<![^\W_])({'|'.join(names)})(set|data|images)?(?![^\W\d_])", re.IGNORECASE)
    for split, names in SPLITS.items()
}


def split_of(name: str) -> str | None:
    """Return the split that the name of a folder or channel means, or None."""
    plain = name.removesuffix(LIST_CHANNEL).casefold()
    return next((split for split, spellings in SPLITS.items() if plain in spellings), None)


def resembles(name: str) -> str | None:
    """Return the split whose spelling is part of a longer name, or None."""
    return next((split for split, words in _CONTAINS.items() if words.search(name)), None)


def spelling(split: str, names: Iterable[str]) -> str | None:
    """Return the name among `names` that means a split, without LIST_CHANNEL; if there are several, the most usual spelling."""
    there = sorted({name.removesuffix(LIST_CHANNEL) for name in names if split_of(name) == split})
    return min(there, key=lambda name: (SPLITS[split].index(name.casefold()), name.casefold() != name), default=None)


def hold_splits(channel: str, names: Iterable[str]) -> bool:
    """Return whether the folders `names` in the only channel are splits.

    In a channel named train, a single folder with a split's name may also be a class, so train and another are needed.
    """
    splits = {split for name in names if (split := split_of(name))}
    return {"train"} < splits if channel == "train" else bool(splits)


def refuse_splits(folder: Path, names: Iterable[str]) -> None:
    """Raise DataError if `names`, the class folders in `folder`, hold train and another split: they are then splits, not classes."""
    splits = {name: split for name in sorted(names) if (split := split_of(name))}
    if "train" in splits.values() and len(set(splits.values())) > 1:
        raise DataError(
            f"{folder} holds the folders {', '.join(splits)}, which are splits and not classes; name {folder} as the one "
            "folder of all photos, or put each class's folder below train, validation and test"
        )
