"""What training saves against the loop that people copy, and whether its cost stays linear.

    python -m benchmarks.train [FOLDER] [--part epochs,trials,...] [--small FOLDER] [sizes, which --help lists]

FOLDER (../shared/data/breeds) is the larger set of photos, --small (../shared/data/dogs) one of natural sizes. Every part
is kept in results/train.json with its own machine and date; a part that is not run keeps its former entry, so that a
long measurement can be made in pieces.
"""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import jobs, parts
from benchmarks.machine import LITE, sample_photos
from benchmarks.parts import Figure, Options
from benchmarks.photos import Split, selected

SEEN = ("train", "validation")  # the copied loop has no test photos

OPTIONS = {
    "small": (Path("../shared/data/dogs"), "the smaller set of photos"),
    "samples": (Path("data/samples"), "the crops that byoc data sample makes, heads"),
    "cache": ("runs/features", "a folder that keeps features, heads"),
    "threads": (len(os.sched_getaffinity(0)), "of both sides"),
    "backbone": ("inception_v3", "of epochs and trials"),
    "batch-size": (64, "of epochs and trials"),
    "steps": (6, "of the copied loop that are measured at a time"),
    "small-photos": (None, "of --small, epochs-dogs and trials-dogs; all without it"),
    "classes": (30, "of FOLDER, epochs-accuracy"),
    "trials-photos": (2000, "of FOLDER, trials-breeds"),
    "finetune-classes": (50, "of FOLDER"),
    "finetune-epochs": (3, "of the part finetune"),
    "growth-sizes": ("1000,10000,100000", "numbers of photos"),
    "growth-backbone": ("mobilenet_v3_small", "of the part growth"),
    "features-photos": (1200, "of FOLDER and of --small, features"),
    "rounds": (5, "of features"),
}


def _on(measure: Callable[[Split, Options], Iterator[Figure]], folder: str, **limits: str) -> parts.Part:
    """Return a part that measures on some photos of a folder.

    `folder` is the option that names the folder. Each of `limits` is an argument of `selected`, with the option that gives its value.
    """

    def part(options: Options) -> Iterator[Figure]:
        numbers = {name: getattr(options, option) for name, option in limits.items()}
        with selected(getattr(options, folder), splits=SEEN, **numbers) as split:
            yield from measure(split, options)

    return part


def _features(options: Options, folder: str, backbone: str) -> Iterator[Figure]:
    paths = sample_photos(getattr(options, folder), options.features_photos)
    # Imported only here: it loads torch into this process, which would spoil the memory that growth measures.
    from benchmarks.features import measure

    yield from measure(options, paths, backbone)


def _heads(options: Options) -> Iterator[Figure]:
    from benchmarks.heads import measure  # it loads torch too

    yield from measure(options)


# They run in this order. epochs-accuracy has pretrained weights, because the accuracy of random ones says nothing.
PARTS: dict[str, parts.Part] = {
    "epochs-dogs": _on(jobs.epochs, "small", photos="small_photos"),
    "epochs-accuracy": _on(partial(jobs.epochs, backbone=LITE), "folder", classes="classes"),
    "trials-dogs": _on(jobs.trials, "small", photos="small_photos"),
    "trials-breeds": _on(jobs.trials, "folder", photos="trials_photos"),
    "finetune": jobs.finetune,
    "growth": jobs.growth,
    "features-breeds": partial(_features, folder="folder", backbone=LITE),
    "features-dogs": partial(_features, folder="small", backbone=LITE),
    "features-inception-breeds": partial(_features, folder="folder", backbone="inception_v3"),
    "features-inception-dogs": partial(_features, folder="small", backbone="inception_v3"),
    "heads": _heads,
}

if __name__ == "__main__":
    sys.exit(parts.main("train", PARTS, OPTIONS, folder="../shared/data/breeds"))
