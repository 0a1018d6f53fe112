"""Part of benchmarks.train: the feature pass, with reading and decoding, on the backend that training chooses.

The pass is compared with the same pass on torch, and with a limit: the sum of the times of its two halves, which are decoding, and
the backend on pixels that are ready in memory. Both halves run in as many lanes as the pass. Every round measures all of them.
"""

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.machine import LITE
from benchmarks.parts import Figure, Options
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
READY = 256  # photos that are kept as pixels; the measurement of the backend alone uses them repeatedly
# Photos of a turn and of the warm-up. A turn has over 1,000 photos, if the folder has as many: from that number on, the pass on
# torch folds batch normalisation, and training may choose another backend than torch.
TURN, WARM = 1200, 64
OURS, TORCH, BARE, DECODING = "ours", "on torch", "bare", "decoding"
Way = Callable[[list[Path]], int]


def measure(options: Options, paths: list[Path], backbone: str) -> Iterator[Figure]:
    """Time every way to process the photos, and compare our pass with the others."""
    torch.set_num_threads(options.threads)
    model = without_head(backbone)
    on_torch = FeaturePass(model=model, precision=resolve_precision("auto"))
    start = time.perf_counter()
    chosen = on_torch.choose(_photos(list(islice(cycle(paths), TURN))))
    print(chosen, flush=True)
    yield Figure("opening the backend and its probe, s", time.perf_counter() - start)

    def bare(batch: int, turn: list[Path]) -> None:
        pixels = ready[batch * CHUNK % READY :][:CHUNK]
        _ = chosen.forward(pixels) if chosen.forward else forward(model, torch.from_numpy(pixels), on_torch.precision)

    def decode(batch: int, turn: list[Path]) -> list[object]:
        return [load_pixels(read_photo(path), model.preprocessing) for path in turn[batch * CHUNK :][:CHUNK]]

    ready = np.stack([load_pixels(read_photo(path), model.preprocessing) for path in islice(cycle(paths), READY)])
    ways: dict[str, Way] = {
        OURS: partial(extract, replace(on_torch, forward=chosen.forward)),
        TORCH: partial(extract, on_torch),
        BARE: partial(_in_lanes, bare),
        DECODING: partial(_in_lanes, decode),
    }
    clocks = _measure(ways, paths, options.rounds)
    for name, taken in clocks[""].items():
        yield Figure.of(f"{name}, photos/s", [1 / turn for turn in taken])
    for clock, turns in clocks.items():  # ratios of neighbouring turns
        ratios = [theirs / own for own, theirs in zip(turns[OURS], turns[TORCH], strict=True)]
        yield Figure.of(f"ours / on torch{clock}", ratios)
        halves = zip(turns[OURS], turns[BARE], turns[DECODING], strict=True)
        yield Figure.of(
            f"ours / bare and decoding{clock}", [(one + other) / own for own, one, other in halves], at_least=TARGET
        )


def without_head(backbone: str) -> Classifier:
    """Return a model without a head for the feature pass. lite0 has its pretrained weights, other backbones have random weights."""
    network, _, preprocessing = build_backbone(backbone)
    if backbone == LITE:
        load_pretrained(network, backbone, None)
    return Classifier(network, nn.Identity(), preprocessing, 1.0).eval().channels_last()


def _photos(paths: Sequence[Path]) -> PhotoSet:
    return PhotoSet((), {"all": tuple(Photo(path, 0) for path in paths)})


def extract(feature_pass: FeaturePass, paths: Sequence[Path]) -> int:
    """Run a feature pass over photos without its progress lines, and return the number of photos."""
    with contextlib.redirect_stderr(io.StringIO()):
        feature_pass.extract(_photos(paths))
    return len(paths)


def _in_lanes(one: Callable[[int, list[Path]], object], turn: list[Path]) -> int:
    """Call `one` for each batch of a turn, with one thread per core, and return the number of photos."""
    batches, threads = max(1, len(turn) // CHUNK), torch.get_num_threads()
    with ThreadPoolExecutor(local_threads(), initializer=lambda: torch.set_num_threads(1)) as pool:
        list(pool.map(lambda batch: one(batch, turn), range(batches)))
    torch.set_num_threads(threads)
    return batches * CHUNK


def _measure(ways: dict[str, Way], paths: list[Path], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds a photo of every turn of every way, as wall-clock time and as processor time.

    Other work on the machine may change the wall-clock time threefold; it hardly changes the processor time.
    """
    # The turns are short and alternate in direction, because a shared machine's speed may change threefold from one turn to the next.
    turns = [paths[start : start + TURN] for start in range(0, len(paths) - TURN + 1, TURN)] or [paths]
    for way in ways.values():
        way(turns[0][:WARM])
    clocks = {"": time.perf_counter, ", processor time": time.process_time}
    measured: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in ways} for clock in clocks}
    for index, turn in list(enumerate(turns)) * rounds:
        for name in list(ways)[:: -1 if index % 2 else 1]:
            starts = {clock: now() for clock, now in clocks.items()}
            done = ways[name](turn)
            for clock, now in clocks.items():
                measured[clock][name].append((now() - starts[clock]) / done)
    return measured
