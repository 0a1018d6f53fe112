"""What training saves against the loop that people copy, and whether its cost stays linear.

    python -m benchmarks.train [FOLDER] [--part epochs,trials,...] [--small FOLDER] [sizes, which --help lists]

FOLDER (../shared/data/breeds) is the larger set of photos, --small (../shared/data/dogs) one of natural sizes. Every part
is kept in results/train.json with its own machine and date; a part that is not run keeps its former entry, so that a
long measurement can be made in pieces.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import epochs, finetune, gpu, growth, machine
from benchmarks.runs import LITE, Measured, NotRun, Ratio
from classifier.errors import UserError

# In the order in which they run: the last two load torch here, which would spoil the memory that growth measures.
PARTS: dict[str, Callable[[argparse.Namespace], Measured]] = {
    "epochs-dogs": epochs.dogs,
    "epochs-breeds": epochs.breeds,
    "epochs-accuracy": epochs.accuracy,
    "trials-dogs": epochs.trials_dogs,
    "trials-breeds": epochs.trials_breeds,
    "finetune": finetune.measure,
    "growth": growth.measure,
    "features": lambda options: _features(options),
    "gpu": gpu.measure,
}


def main() -> int:
    """Run the chosen parts, print all that is known and keep it in results/train.json."""
    options = _options()
    print(f"{machine.summary(machine.describe())}, {options.threads} threads\n")
    for name in options.part:
        started = time.perf_counter()
        try:
            measured = PARTS[name](options)
        except (NotRun, UserError, subprocess.CalledProcessError) as error:
            print(f"{name}: not run, since {error}\n")
            continue
        _keep(name, measured, options.threads, time.perf_counter() - started)
        for note in measured.notes:
            print(f"{name}: {note}")
        print()
    _print_table(_known())
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description="Measure training.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/breeds"), metavar="FOLDER")
    add = parser.add_argument
    add("--small", type=Path, default=Path("../shared/data/dogs"), metavar="FOLDER", help="default: %(default)s")
    add("--part", type=_parts, default=list(PARTS), help=f"some of {', '.join(PARTS)}, by name or how it begins")
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


def _parts(text: str) -> list[str]:
    wanted = text.split(",")
    unknown = [prefix for prefix in wanted if not any(name.startswith(prefix) for name in PARTS)]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no part; known are {', '.join(PARTS)}")
    return [name for name in PARTS if name.startswith(tuple(wanted))]


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


def _known() -> dict[str, Any]:
    path = machine.RESULTS / "train.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"ratios": {}, "parts": {}}
    return known


def _keep(name: str, measured: Measured, threads: int, seconds: float) -> None:
    """Put a part into results/train.json beside what other parts left there."""
    entry = {
        "machine": machine.describe(),
        "threads": threads,
        "seconds": seconds,
        "ratios": {ratio.name: ratio.to_json() for ratio in measured.ratios},
        "settings": measured.settings,
        "notes": measured.notes,
        "raw": measured.raw,
    }
    known = _known()["parts"] | {name: entry}
    parts = {part: known[part] for part in PARTS if part in known}
    ratios = {
        figure: ratio | {"part": part, "date": kept["machine"]["date"]}
        for part, kept in parts.items()
        for figure, ratio in kept["ratios"].items()
    }
    machine.write_results("train", {"ratios": ratios, "parts": parts})


def _print_table(known: dict[str, Any]) -> None:
    print(f"{'figure':74} {'value':>15} {'target':>16}  {'':3} date")
    for name, ratio in known["ratios"].items():
        bound = "at most" if ratio["at_most"] else "at least"
        target = f"{bound} {ratio['target']:.6g}" if ratio["target"] is not None else ""
        reached = {True: "yes", False: "no", None: ""}[ratio["reached"]]
        print(f"{name:74} {ratio['value']:15,.4g} {target:>16}  {reached:3} {ratio['date']}")


if __name__ == "__main__":
    sys.exit(main())
