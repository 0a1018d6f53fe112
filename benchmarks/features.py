"""Part of benchmarks.train: the feature pass, reading and decoding included, against the bare forward pass.

The limit is the same backbone at the same precision on pixels that lie ready in memory, measured in two ways:
as one would write it, one Python thread and torch's own threads, with batches of 8 and of 32; and
in lanes as the feature pass runs them, a thread per core with batches of its own. All are measured in turn, round by round.
"""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from benchmarks.parts import Figure, Options
from benchmarks.runs import LITE
from classifier.backbones import build_backbone
from classifier.images import load_pixels, read_photo
from classifier.models import Classifier
from classifier.photos import Photo, PhotoSet
from train.features import CHUNK, FeaturePass
from train.features.lanes import forward
from train.precision import resolve_precision
from train.pretrained import load_pretrained
from train.processes.world import local_threads

TARGET = 0.9
BATCHES = (8, 32)
READY = 256  # photos kept as pixels; the bare passes go over them again and again
# The ways take turns. A turn has over 1,000 photos, because from that number on our feature pass folds batch normalisation;
# the bare passes do not.
TURN, WARM = 1200, 64  # photos of a turn and of the warm-up
SECONDS = 0.7  # a turn of one thread
OURS, LANES = "ours, with decoding", "bare, in lanes"
Way = Callable[[list[Path]], int]


def lite() -> Classifier:
    """Return lite0 with its pretrained weights and without a head, as training makes it."""
    backbone, _, preprocessing = build_backbone(LITE)
    load_pretrained(backbone, LITE, None)
    model = Classifier(backbone, nn.Identity(), preprocessing, 1.0).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def measure(options: Options, paths: list[Path]) -> Iterator[Figure]:
    """Time every way over the photos, and compare ours with the others."""
    torch.set_num_threads(options.threads)
    model = lite()
    turns = _measure(_ways(model, paths), paths, options.rounds)
    ratios = {}
    for name, taken in turns.items():
        yield Figure.of(f"{name}, photos/s", [1 / turn for turn in taken])
        # The median over turns, each compared with the turn beside it.
        ratios[name] = median(theirs / own for own, theirs in zip(turns[OURS], taken, strict=True))
    yield Figure("ours / bare, in lanes", ratios[LANES], at_least=TARGET)
    best = min(ratio for name, ratio in ratios.items() if name not in (OURS, LANES))
    yield Figure("ours / bare, torch's threads at their best batch", best, at_least=TARGET)


def _ways(model: Classifier, paths: list[Path]) -> dict[str, Way]:
    """Return the passes to time by name; each does the photos that a turn gives it, and returns how many it did."""
    precision = resolve_precision("auto")
    pixels = [load_pixels(read_photo(path), model.preprocessing) for path in paths[:READY]]
    ready = torch.from_numpy(np.stack(list(islice(cycle(pixels), READY))))

    def ours(turn: list[Path]) -> int:
        photos = PhotoSet((), {"all": tuple(Photo(path, 0) for path in turn)})
        with contextlib.redirect_stderr(io.StringIO()):  # its progress lines
            FeaturePass(model=model, precision=precision).extract(photos)
        return len(turn)

    def bare(batch: int, size: int) -> None:
        start = batch * size % (len(ready) - size + 1)
        forward(model, ready[start : start + size], precision)

    def in_lanes(turn: list[Path]) -> int:
        batches, threads = max(1, len(turn) // CHUNK), torch.get_num_threads()
        with ThreadPoolExecutor(local_threads(), initializer=lambda: torch.set_num_threads(1)) as pool:
            list(pool.map(lambda batch: bare(batch, CHUNK), range(batches)))
        torch.set_num_threads(threads)
        return batches * CHUNK

    def alone(size: int, turn: list[Path]) -> int:
        # By the clock: on a busy machine torch's own threads, which wait for each other, may be several times slower.
        index, end = 0, time.perf_counter() + SECONDS
        while index == 0 or time.perf_counter() < end:
            bare(index, size)
            index += 1
        return index * size

    one_thread: dict[str, Way] = {f"bare, one thread, batch {size}": partial(alone, size) for size in BATCHES}
    return {OURS: ours, LANES: in_lanes} | one_thread


def _measure(ways: dict[str, Way], paths: list[Path], rounds: int) -> dict[str, list[float]]:
    """Return the seconds a photo of every turn of every way."""
    # Short turns, forwards and backwards: a shared machine's speed may change threefold from one turn to the next.
    turns = [paths[start : start + TURN] for start in range(0, len(paths) - TURN + 1, TURN)] or [paths]
    for way in ways.values():
        way(turns[0][:WARM])
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for index, turn in list(enumerate(turns)) * rounds:
        for name in list(ways)[:: -1 if index % 2 else 1]:
            start = time.perf_counter()
            done = ways[name](turn)
            measured[name].append((time.perf_counter() - start) / done)
    return measured
