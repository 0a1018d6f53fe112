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

from benchmarks import epochs, finetune, gpu_train, growth, machine, parts
from benchmarks.runs import LITE, Measured, NotRun, Ratio

# In the order in which they run: the last two load torch here, which would spoil the memory that growth measures.
PARTS: dict[str, parts.Part] = {
    "epochs-dogs": epochs.dogs,
    "epochs-breeds": epochs.breeds,
    "epochs-accuracy": epochs.accuracy,
    "trials-dogs": epochs.trials_dogs,
    "trials-breeds": epochs.trials_breeds,
    "finetune": finetune.measure,
    "growth": growth.measure,
    "features": lambda options: _features(options),
    "gpu": gpu_train.measure,
}


def main() -> int:
    """Run the chosen parts, print all that is known and keep it in results/train.json."""
    options = _options()
    print(f"{machine.summary(machine.describe())}, {options.threads} threads\n")
    parts.run("train", PARTS, options)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description="Measure training.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/breeds"), metavar="FOLDER")
    add = parser.add_argument
    add("--small", type=Path, default=Path("../shared/data/dogs"), metavar="FOLDER", help="default: %(default)s")
    add(
        "--part",
        type=lambda text: parts.chosen(text, PARTS),
        default=list(PARTS),
        help=f"some of {', '.join(PARTS)}, by name or how it begins",
    )
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of both sides (default: %(default)s)")
    add("--backbone", default="inception_v3", help="of epochs and trials (default: %(default)s)")
    add("--batch-size", type=int, default=64, help="of epochs and trials (default: %(default)s)")
    add("--steps", type=int, default=6, help="of the copied loop that are measured at a time (default: %(default)s)")
    add("--photos", type=int, default=2400, help="of FOLDER, epochs-breeds (default: %(default)s)")
    add("--small-photos", type=int, help="of --small, epochs-dogs and trials-dogs (default: all)")
    add("--classes", type=int, default=30, help="of FOLDER, epochs-accuracy (default: %(default)s)")
    add("--trials-photos", type=int, default=2000, help="of FOLDER, trials-breeds (default: %(default)s)")
    add("--finetune-classes", type=int, default=50, help="of FOLDER (default: %(default)s)")
    add("--finetune-epochs", type=int, default=3, help="default: %(default)s")
    add(
        "--growth-sizes",
        type=_numbers,
        default=[1000, 10_000, 100_000],
        metavar="N,N",
        help="default: 1000,10000,100000",
    )
    add("--growth-backbone", default="mobilenet_v3_small", help="default: %(default)s")
    add("--features-photos", type=int, default=3600, help="default: %(default)s")
    add("--rounds", type=int, default=3, help="of features (default: %(default)s)")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


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
    return Measured(ratios, found["settings"], {"rounds": found["rounds"], "ratios": found["ratios"]})


if __name__ == "__main__":
    sys.exit(main())
