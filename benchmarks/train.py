"""Compares training with the training loop of many tutorials, and measures whether its cost grows linearly.

    python -m benchmarks.train [FOLDER] [--part epochs,growth,...] [--small FOLDER] [sizes, which --help lists]

FOLDER (../shared/data/breeds) is the larger set of photos; --small (../shared/data/dogs) is a set of photos of natural size.
results/train.json holds the figures, the machine and the date of each part. A part that is not run keeps its old entry, so a long
measurement can be done in several runs.
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
    "samples": (Path("data/samples"), "folder of the crops that byoc data sample makes, for the part heads"),
    "cache": ("runs/features", "folder of the cached features, for the part heads"),
    "threads": (len(os.sched_getaffinity(0)), "number of threads of both programs"),
    "backbone": ("inception_v3", "backbone of the part epochs-dogs"),
    "small-photos": (None, "number of photos of --small for the part epochs-dogs; all by default"),
    "classes": (30, "number of classes of FOLDER for the part epochs-accuracy"),
    "finetune-classes": (50, "number of classes of FOLDER for the part finetune"),
    "finetune-epochs": (3, "number of epochs of the part finetune"),
    "growth-sizes": ("1000,10000,100000", "numbers of photos for the part growth"),
    "growth-backbone": ("mobilenet_v3_small", "backbone of the part growth"),
    "features-photos": (1200, "number of photos of FOLDER and of --small for the parts features-*"),
    "rounds": (5, "number of rounds of the parts features-*"),
}


def _features(options: Options, folder: Path, backbone: str) -> Iterable[Figure]:
    # This import loads torch into the process. At the top of the file, it would spoil the memory that the part growth measures.
    from benchmarks.features import measure

    return measure(options, sample_photos(folder, options.features_photos), backbone)


def _heads(options: Options) -> Iterable[Figure]:
    from benchmarks.heads import measure  # this import loads torch too

    return measure(options)


# The parts run in this order. epochs-accuracy uses pretrained weights, because accuracy with random weights means nothing.
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
