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
from classifier.photos import Photo, PhotoSet
from classifier.spec import Preprocessing
from train.features import FeaturePass
from train.features.collector import BATCH
from train.features.lanes import CHUNK, forward
from train.precision import resolve_precision
from train.pretrained import load_pretrained
from train.processes.world import local_threads

TARGET = 0.9
BATCHES = {"cpu": (8, 32), "cuda": (64, 256)}
READY = 256  # photos kept as pixels; the bare passes go over them again and again
# The ways take turns. A turn has over 1,000 photos, because from that number on our feature pass folds batch normalisation;
# the bare passes do not.
TURN, WARM = 1200, 64  # photos of a turn and of the warm-up
SECONDS = 0.7  # a turn of (a)
OURS = "ours, with decoding"
Way = Callable[[list[Path]], int]
Turn = tuple[float, float]  # seconds and processor seconds a photo


def main() -> int:
    """Measure, print the table and write results/features.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description="Measure the feature pass.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/breeds"), metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=3600, help="how many, drawn at random (default: %(default)s)")
    parser.add_argument("--backbone", default="timm/tf_efficientnet_lite0", help="default: %(default)s")
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    options = parser.parse_args()
    paths = sample_photos(options.folder, options.photos) if options.folder.is_dir() else []
    if not paths:
        print(f"features: {options.folder} holds no photos, so this figure was not run; name a folder of JPEG photos")
        return 0
    results = measure(paths, backbone=options.backbone, precision=options.precision, rounds=options.rounds)
    write_results("features", results)
    return 0


def measure(paths: list[Path], *, backbone: str, precision: str, rounds: int) -> dict[str, Any]:
    """Measure, print the table and return machine, settings, the rate of each way and the ratios by limit."""
    model, preprocessing, weights = _model(backbone)
    device, lanes, machine = next(model.parameters()).device.type, local_threads(), describe()
    settings: dict[str, Any] = {"backbone": backbone, "weights": weights, "precision": resolve_precision(precision)}
    settings |= {"device": device, "photos": len(paths), "lanes": lanes, "chunk": BATCH[device] or CHUNK}
    print(f"{summary(machine)}\n{settings}")
    measured = _measure(_ways(model, preprocessing, settings["precision"], paths, lanes), paths, rounds)
    rates = {name: _rates(turns) for name, turns in measured.items()}
    ratios = {name: _ratios(measured[OURS], turns) for name, turns in measured.items() if name[:2] in ("a:", "b:")}
    best_of_a = [ratio for name, ratio in ratios.items() if name.startswith("a:")]
    ratios["best of a"] = {key: min(ratio[key] for ratio in best_of_a) for key in best_of_a[0]}
    for name, rate in rates.items():
        print(f"{name:28} {rate['photos_per_second']['median']:8.1f}/s, {rate['cpu_ms_per_photo']:.2f} ms of processor")
    for name, ratio in ratios.items():
        print(f"ours / {name:21} " + ", ".join(f"{key} {value:.2f}" for key, value in ratio.items()))
    return {"machine": machine, "settings": settings | {"target": TARGET}, "rates": rates, "ratios": ratios}


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
            FeaturePass(model=model, precision=precision).extract(PhotoSet((), {"all": tuple(photos)}))
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

    def decode(turn: list[Path]) -> int:
        return in_lanes(lambda index: load_pixels(read_photo(turn[index]), preprocessing), len(turn), 1)

    return {
        OURS: ours,
        f"b: lanes, batch {chunk}": lambda turn: in_lanes(lambda i: bare(i, chunk), max(1, len(turn) // chunk), chunk),
        f"a: one thread, batch {small}": lambda turn: alone(small),
        f"a: one thread, batch {large}": lambda turn: alone(large),
        "decoding alone, in lanes": decode,
    }


def _measure(ways: dict[str, Way], paths: list[Path], rounds: int) -> dict[str, list[Turn]]:
    """Return every turn of every way."""
    # Short turns, forwards and backwards: a shared machine's speed may change threefold from one turn to the next.
    turns = [paths[start : start + TURN] for start in range(0, len(paths) - TURN + 1, TURN)] or [paths]
    for way in ways.values():
        way(turns[0][:WARM])
    measured: dict[str, list[Turn]] = {name: [] for name in ways}
    for index, turn in list(enumerate(turns)) * rounds:
        for name in list(ways)[:: -1 if index % 2 else 1]:
            cpu, wall = time.process_time(), time.perf_counter()
            done = ways[name](turn)
            measured[name].append(((time.perf_counter() - wall) / done, (time.process_time() - cpu) / done))
    return measured


def _rates(turns: list[Turn]) -> dict[str, Any]:
    cpu = 1000 * median(cpu for _, cpu in turns)
    return {"photos_per_second": spread([1 / wall for wall, _ in turns]), "cpu_ms_per_photo": cpu}


def _ratios(ours: list[Turn], limit: list[Turn]) -> dict[str, float]:
    pairs = list(zip(ours, limit, strict=True))
    return {
        # The median over turns, each compared with the turn beside it.
        "side_by_side": median(theirs[0] / own[0] for own, theirs in pairs),
        # What each reached when the machine was least disturbed.
        "best_turns": min(theirs[0] for _, theirs in pairs) / min(own[0] for own, _ in pairs),
        "cpu_time": median(theirs[1] / own[1] for own, theirs in pairs),
    }


if __name__ == "__main__":
    sys.exit(main())
