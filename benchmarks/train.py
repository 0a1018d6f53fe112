"""What training saves against the loop that people copy, and whether its cost stays linear.

    python -m benchmarks.train [FOLDER] [--part epochs,trials,...] [--small FOLDER] [sizes, which --help lists]

FOLDER (../shared/data/breeds) is the larger set of photos, --small (../shared/data/dogs) one of natural sizes. Every part
is kept in results/train.json with its own machine and date; a part that is not run keeps its former entry, so that a
long measurement can be made in pieces.
"""

import argparse
import os
import sys
from pathlib import Path

from benchmarks import epochs, growth, machine, parts
from benchmarks.parts import Measured, NotRun, Ratio
from benchmarks.runs import LITE

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
    "features-photos": (3600, "of FOLDER, features"),
    "rounds": (3, "of features"),
}


def main() -> int:
    """Run the chosen parts, print all that is known and keep it in results/train.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description="Measure training.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/breeds"), metavar="FOLDER")
    parts.add_options(parser, PARTS, OPTIONS)
    options = parser.parse_args()
    print(f"{machine.summary(machine.describe())}, {options.threads} threads\n")
    parts.run("train", PARTS, options)
    return 0


def _features(options: argparse.Namespace) -> Measured:
    """The feature pass against the bare forward pass, as benchmarks.features measures it."""
    paths = machine.sample_photos(options.folder, options.features_photos) if options.folder.is_dir() else []
    if not paths:
        raise NotRun(f"{options.folder} holds no JPEG photos; name a folder of photos")
    import torch

    from benchmarks.features import TARGET, measure

    torch.set_num_threads(options.threads)
    found = measure(paths, backbone=LITE, precision="auto", rounds=options.rounds)
    ratios = [
        Ratio(f"features: ours with decoding / bare forward pass, {limit}", ratio["side_by_side"], TARGET)
        for limit, ratio in found["ratios"].items()
        if not limit.startswith("a:")  # "best of a" is the better of them
    ]
    return Measured(ratios, found["settings"], {"rates": found["rates"], "ratios": found["ratios"]})


# In the order in which they run: the last one loads torch here, which would spoil the memory that growth measures.
PARTS: dict[str, parts.Part] = {
    "epochs-dogs": epochs.dogs,
    "epochs-accuracy": epochs.accuracy,
    "trials-dogs": epochs.trials_dogs,
    "trials-breeds": epochs.trials_breeds,
    "finetune": epochs.finetune,
    "growth": growth.measure,
    "features": _features,
}

if __name__ == "__main__":
    sys.exit(main())
