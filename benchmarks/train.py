"""What training saves against the loop that people copy, and whether its cost stays linear.

    python -m benchmarks.train [FOLDER] [--part epochs,trials,...] [--small FOLDER] [sizes, which --help lists]

FOLDER (../shared/data/breeds) is the larger set of photos, --small (../shared/data/dogs) one of natural sizes. Every part
is kept in results/train.json with its own machine and date; a part that is not run keeps its former entry, so that a
long measurement can be made in pieces.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import epochs, growth, parts
from benchmarks.parts import Figure, Options

OPTIONS = {
    "small": (Path("../shared/data/dogs"), "the smaller set of photos"),
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
    "features-photos": (3600, "of FOLDER, features; unfolded takes at most 800"),
    "rounds": (3, "of features and unfolded"),
}


def _features(options: Options, most: int = sys.maxsize) -> Iterator[Figure]:
    # It loads torch into this process, which would spoil the memory that growth measures.
    from benchmarks.features import measure

    return measure(options, min(most, options.features_photos))


# In the order in which they run.
PARTS: dict[str, parts.Part] = {
    "epochs-dogs": epochs.dogs,
    "epochs-accuracy": epochs.accuracy,
    "trials-dogs": lambda options: epochs.trials(options.small, options.small_photos, options),
    "trials-breeds": lambda options: epochs.trials(options.folder, options.trials_photos, options),
    "finetune": epochs.finetune,
    "growth": growth.measure,
    "features": _features,
    # Below 1,000 photos batch normalisation is not folded.
    "unfolded": lambda options: _features(options, most=800),
}

if __name__ == "__main__":
    sys.exit(parts.main("train", PARTS, OPTIONS, folder="../shared/data/breeds"))
