"""What training saves against the loop that people copy, and whether its cost stays linear.

    python -m benchmarks.train [FOLDER] [--part epochs,growth,...] [--small FOLDER] [sizes, which --help lists]

FOLDER (../shared/data/breeds) is the larger set of photos, --small (../shared/data/dogs) one of natural sizes. Every part
is kept in results/train.json with its own machine and date; a part that is not run keeps its former entry, so that a
long measurement can be made in pieces.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks import jobs, parts
from benchmarks.machine import LITE, sample_photos
from benchmarks.parts import Figure, Options

OPTIONS = {
    "small": (Path("../shared/data/dogs"), "the smaller set of photos"),
    "samples": (Path("data/samples"), "the crops that byoc data sample makes, heads"),
    "cache": ("runs/features", "a folder that keeps features, heads"),
    "threads": (len(os.sched_getaffinity(0)), "of both sides"),
    "backbone": ("inception_v3", "of epochs"),
    "small-photos": (None, "of --small, epochs-dogs; all without it"),
    "classes": (30, "of FOLDER, epochs-accuracy"),
    "finetune-classes": (50, "of FOLDER"),
    "finetune-epochs": (3, "of the part finetune"),
    "growth-sizes": ("1000,10000,100000", "numbers of photos"),
    "growth-backbone": ("mobilenet_v3_small", "of the part growth"),
    "features-photos": (1200, "of FOLDER and of --small, features"),
    "rounds": (5, "of features"),
}


def _features(options: Options, folder: Path, backbone: str) -> Iterable[Figure]:
    # Imported only here: it loads torch into this process, which would spoil the memory that growth measures.
    from benchmarks.features import measure

    return measure(options, sample_photos(folder, options.features_photos), backbone)


def _heads(options: Options) -> Iterable[Figure]:
    from benchmarks.heads import measure  # it loads torch too

    return measure(options)


# They run in this order. epochs-accuracy has pretrained weights, because the accuracy of random ones says nothing.
PARTS: dict[str, parts.Part] = {
    "epochs-dogs": lambda options: jobs.epochs(options, options.small, options.backbone, photos=options.small_photos),
    "epochs-accuracy": lambda options: jobs.epochs(options, options.folder, LITE, classes=options.classes),
    "finetune": jobs.finetune,
    "growth": jobs.growth,
    "features-breeds": lambda options: _features(options, options.folder, LITE),
    "features-dogs": lambda options: _features(options, options.small, LITE),
    "features-inception-breeds": lambda options: _features(options, options.folder, "inception_v3"),
    "features-inception-dogs": lambda options: _features(options, options.small, "inception_v3"),
    "heads": _heads,
}

if __name__ == "__main__":
    sys.exit(parts.main("train", PARTS, OPTIONS, folder="../shared/data/breeds"))
