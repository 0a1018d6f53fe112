"""Features per second of train.features.extract, reading and decoding included, against the bare forward pass.

    python -m benchmarks.features [FOLDER] [--photos N] [--backbone NAME] [--precision bf16] [--rounds N]

The limit is the same backbone at the same precision on pixels that lie ready in memory, measured in two ways:
(a) as one would write it, one Python thread and torch's own intra-op threads, with batches of 8 and of 32;
(b) in lanes as extract runs them, a thread per core with batches of its own. All are measured in turn, round by round.
"""

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.machine import describe, sample_photos, spread, summary, write_results
from classifier.backbones import build_backbone
from classifier.errors import WeightsError
from classifier.images import load_pixels, read_photo
from classifier.models import Classifier
from classifier.photos import Photo
from classifier.spec import Preprocessing
from train.collector import BATCH
from train.features import extract, resolve_precision
from train.lanes import CHUNK, forward
from train.pretrained import load_pretrained
from train.world import local_threads

TARGET = 0.9
BATCHES = {"cpu": (8, 32), "cuda": (64, 256)}
READY = 256  # photos kept as pixels; the bare passes go over them again and again
# A turn is what a way does before it is the next one's: over 1,000 photos, so that ours folds batch normalisation as it does
# on a set of that size, which the bare passes do not.
TURN, WARM = 1200, 64  # photos of a turn and of the warm-up
SECONDS = 0.7  # a turn of (a)
Way = Callable[[list[Path]], int]
Turn = dict[str, float]


def main() -> int:
    """Measure, print the table and write results/features.json."""
    options = _options()
    paths = sample_photos(options.folder, options.photos) if options.folder.is_dir() else []
    if not paths:
        print(f"features: {options.folder} holds no photos, so this figure was not run; name a folder of JPEG photos")
        return 0
    results = measure(paths, backbone=options.backbone, precision=options.precision, rounds=options.rounds)
    write_results("features", results)
    return 0


def measure(paths: list[Path], *, backbone: str, precision: str, rounds: int) -> dict[str, Any]:
    """Measure, print the table and return machine, settings, every turn and the ratios by limit."""
    model, preprocessing, weights = _model(backbone)
    precision = resolve_precision(precision)
    device, lanes = next(model.parameters()).device.type, local_threads()
    machine = describe()
    print(
        f"{backbone}, weights: {weights}; {precision} on {device}, {len(paths)} photos, {lanes} lanes\n{summary(machine)}"
    )
    measured = _measure(_ways(model, preprocessing, precision, paths, lanes), paths, rounds)
    ratios = _print(measured)
    settings: dict[str, Any] = {"backbone": backbone, "weights": weights, "precision": precision, "device": device}
    settings |= {"photos": len(paths), "lanes": lanes, "chunk": BATCH[device] or CHUNK, "target": TARGET}
    return {"machine": machine, "settings": settings, "rounds": measured, "ratios": ratios}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description="Measure the feature pass.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/breeds"), metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=3600, help="how many, drawn at random (default: %(default)s)")
    parser.add_argument("--backbone", default="timm/tf_efficientnet_lite0", help="default: %(default)s")
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    return parser.parse_args()


def _model(backbone_name: str) -> tuple[Classifier, Preprocessing, str]:
    backbone, _, preprocessing = build_backbone(backbone_name)
    try:
        source = load_pretrained(backbone, backbone_name, None)
    except WeightsError as error:
        source = f"random, since {str(error).split(';')[0]}"
    model = Classifier(backbone, nn.Identity(), preprocessing, 1.0).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), preprocessing, source


def _ways(
    model: Classifier, preprocessing: Preprocessing, precision: str, paths: list[Path], lanes: int
) -> dict[str, Way]:
    """Return the passes to time by name; each does the photos that a turn gives it."""
    pixels = [load_pixels(read_photo(path), preprocessing) for path in paths[:READY]]
    device = next(model.parameters()).device.type
    ready = torch.from_numpy(np.stack(list(islice(cycle(pixels), READY)))).to(device)
    chunk, (small, large) = BATCH[device] or CHUNK, BATCHES[device]

    def ours(turn: list[Path]) -> int:
        photos = [Photo(path, 0) for path in turn]
        with contextlib.redirect_stderr(io.StringIO()):  # its progress lines
            extract(model, {"all": photos}, preprocessing, precision=precision, cache=None, max_unreadable=0)
        return len(photos)

    def bare(batch: int, size: int) -> None:
        start = batch * size % (len(ready) - size + 1)
        forward(model, ready[start : start + size], precision)

    def alone(size: int) -> int:
        # By the clock: on a busy machine torch's own threads, which wait for each other, may be several times slower.
        index, end = 0, time.perf_counter() + SECONDS
        while index == 0 or time.perf_counter() < end:
            bare(index, size)
            index += 1
        return index * size

    def in_lanes(work: Callable[[int], object], count: int, each: int) -> int:
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(lanes, initializer=lambda: torch.set_num_threads(1)) as pool:
            list(pool.map(work, range(count)))
        torch.set_num_threads(threads)
        return count * each

    return {
        "ours, with decoding": ours,
        f"b: lanes, batch {chunk}": lambda turn: in_lanes(
            lambda index: bare(index, chunk), max(1, len(turn) // chunk), chunk
        ),
        f"a: one thread, batch {small}": lambda turn: alone(small),
        f"a: one thread, batch {large}": lambda turn: alone(large),
        "decoding alone, in lanes": lambda turn: in_lanes(
            lambda index: load_pixels(read_photo(turn[index]), preprocessing), len(turn), 1
        ),
    }


def _measure(ways: dict[str, Way], paths: list[Path], rounds: int) -> dict[str, list[list[Turn]]]:
    """Return the seconds, CPU seconds and photos of every turn, by way and round."""
    # Short turns, forwards and backwards: a shared machine's speed may change threefold from one turn to the next.
    turns = [paths[start : start + TURN] for start in range(0, len(paths) - TURN + 1, TURN)] or [paths]
    for way in ways.values():
        way(turns[0][:WARM])
    measured: dict[str, list[list[Turn]]] = {name: [[] for _ in range(rounds)] for name in ways}
    for number in range(rounds):
        for index, turn in enumerate(turns):
            for name in list(ways)[:: -1 if index % 2 else 1]:
                cpu, wall = time.process_time(), time.perf_counter()
                done = ways[name](turn)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                measured[name][number].append({"seconds": wall, "cpu_seconds": cpu, "photos": done})
    return measured


def _print(measured: dict[str, list[list[Turn]]]) -> dict[str, dict[str, float]]:
    """Print the tables and return three ratios to each limit."""
    print(f"{'images/s, by round':28} {'min':>8} {'median':>8} {'max':>8} {'best turn':>11} {'CPU ms/image':>14}")
    for name, rounds in measured.items():
        rates = [sum(turn["photos"] for turn in turns) / sum(turn["seconds"] for turn in turns) for turns in rounds]
        best, cpu = 1 / min(_per_photo(rounds, "seconds")), 1000 * median(_per_photo(rounds, "cpu_seconds"))
        print(f"{name:28} {spread(rates)} {best:11.1f} {cpu:14.2f}")
    ours, *limits = list(measured)[:-1]
    ratios = {name: _ratios(measured[ours], measured[name]) for name in limits}
    best_of_a = [ratio for name, ratio in ratios.items() if name.startswith("a:")]
    ratios["best of a"] = {key: min(ratio[key] for ratio in best_of_a) for key in best_of_a[0]}
    if not torch.cuda.is_available():
        turns = [turn for round_ in measured[limits[0]] for turn in round_]
        share = median(turn["cpu_seconds"] / turn["seconds"] for turn in turns) / torch.get_num_threads()
        print(
            f"(b) got {share:.0%} of the cores; the less, the more (a) is understated: its threads wait for each other"
        )
    print(f"{'ours /':28} {'side by side':>14} {'best turns':>14} {'CPU time':>14}   (* reaches {TARGET})")
    for name, ratio in ratios.items():
        print(f"{name:28} " + " ".join(f"{value:13.2f}{'*' if value >= TARGET else ' '}" for value in ratio.values()))
    return ratios


def _ratios(ours: list[list[Turn]], limit: list[list[Turn]]) -> dict[str, float]:
    wall, cpu = ([_per_photo(rounds, clock) for rounds in (ours, limit)] for clock in ("seconds", "cpu_seconds"))
    return {
        # The median over turns, each compared with the turn beside it.
        "side_by_side": median(theirs / own for own, theirs in zip(*wall, strict=True)),
        # What each reached when the machine was least disturbed.
        "best_turns": min(wall[1]) / min(wall[0]),
        "cpu_time": median(theirs / own for own, theirs in zip(*cpu, strict=True)),
    }


def _per_photo(rounds: list[list[Turn]], clock: str) -> list[float]:
    return [turn[clock] / turn["photos"] for turns in rounds for turn in turns]


if __name__ == "__main__":
    sys.exit(main())
