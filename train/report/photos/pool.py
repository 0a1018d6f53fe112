"""The features of all splits in one table, for comparisons between photos."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from classifier.photos import Photo
from train.features import Features
from train.processes.world import World

# Bytes of features; if all photos need more, only every second photo (or every third, and so on) is taken.
MOST_BYTES = 2**27


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Photos of all splits, one after another, N in all.

    `features` is float32 [N, D], `labels` and `splits` are int64 [N]; `splits` are indices into `names`. `of` is the number of the data
    set's photos; it is larger than N if not all photos fit.
    """

    features: Tensor
    labels: Tensor
    splits: Tensor
    names: tuple[str, ...]
    photos: tuple[Photo, ...]
    of: int


def pooled(splits: Mapping[str, Features], views: int, world: World) -> Pool:
    """Bring the features of all processes together; every process must call it. Views are left out.

    `views` is how many augmented copies follow the photos of train.
    """
    counts = {
        name: len(split.photos) // (1 + views) if name == "train" else len(split.photos)
        for name, split in splits.items()
    }
    columns = max(split.features.shape[1] for split in splits.values())
    step = -(-4 * columns * sum(counts.values()) // MOST_BYTES)
    own = {name: _every(split, counts[name], step) for name, split in splits.items()}
    everyone = world.gather(own)
    parts = []
    for name in splits:
        rows, features = (torch.cat(tensors) for tensors in zip(*(one[name] for one in everyone), strict=True))
        order = rows.argsort()
        parts.append((rows[order], features[order]))
    return Pool(
        features=torch.cat([features for _, features in parts]),
        labels=torch.cat([split.labels[rows] for split, (rows, _) in zip(splits.values(), parts, strict=True)]),
        splits=torch.cat([torch.full_like(rows, place) for place, (rows, _) in enumerate(parts)]),
        names=tuple(splits),
        photos=tuple(
            split.photos[row] for split, (rows, _) in zip(splits.values(), parts, strict=True) for row in rows.tolist()
        ),
        of=sum(counts.values()),
    )


def _every(split: Features, count: int, step: int) -> tuple[Tensor, Tensor]:
    """Return the places of this process's photos among `count`, only every `step`-th photo, and their features."""
    chosen = (split.rows < count) & (split.rows % step == 0)
    return split.rows[chosen], split.features[chosen]
