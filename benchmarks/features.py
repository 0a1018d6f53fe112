"""Part of benchmarks.train: the feature pass, reading and decoding included, against the bare forward pass.

The limit is the same backbone at the same precision on pixels that lie ready in memory, measured in two ways:
as one would write it, one Python thread and torch's own threads, with batches of 8 and of 32; and
in lanes as the feature pass runs them, a thread per core with batches of its own. All are measured in turn, round by round.
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from benchmarks.machine import LITE, in_turns
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

TARGET = 0.9  # of the limit
# A turn has over 1,000 photos, because from that number on our feature pass folds batch normalisation; the bare passes do not.
TURN, WARM = 1200, 64  # photos of a turn and of the warm-up
READY = 256  # photos whose pixels are kept in memory; the bare passes use them again and again
OURS, LANES = "ours, with decoding", "bare, in lanes"
ALONE = {f"bare, one thread, batch {size}": size for size in (8, 32)}


def lite() -> Classifier:
    """Return lite0 with its pretrained weights and without a head, as training makes it."""
    model = small_model()
    load_pretrained(model.backbone, LITE, None)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def measure(options: Options, paths: list[Path]) -> Iterator[Figure]:
    """Time every way over the photos, and compare ours with the others."""
    torch.set_num_threads(options.threads)
    model, precision = lite(), resolve_precision("auto")
    pixels = [load_pixels(read_photo(path), model.preprocessing) for path in paths[:READY]]
    ready = torch.from_numpy(np.stack(list(islice(cycle(pixels), READY))))

    def bare(size: int, batch: int) -> None:
        start = batch * size % len(ready)
        forward(model, ready[start : start + size], precision)

    def in_lanes(batches: int) -> None:
        with ThreadPoolExecutor(local_threads(), initializer=lambda: torch.set_num_threads(1)) as pool:
            list(pool.map(partial(bare, CHUNK), range(batches)))
        torch.set_num_threads(options.threads)

    def alone(size: int) -> None:
        for batch in range(READY // size):
            bare(size, batch)

    turns = [paths[start : start + TURN] for start in range(0, len(paths) - TURN + 1, TURN)] or [paths]
    ours, turn, batches = FeaturePass(model=model, precision=precision), cycle(turns), max(1, len(turns[0]) // CHUNK)
    ways: dict[str, Callable[[], None]] = {
        OURS: lambda: extract(ours, next(turn)),
        LANES: lambda: in_lanes(batches),
        **{name: partial(alone, size) for name, size in ALONE.items()},
    }
    counts = {OURS: len(turns[0]), LANES: batches * CHUNK} | dict.fromkeys(ALONE, READY)
    extract(ours, turns[0][:WARM])
    in_lanes(WARM // CHUNK)
    taken = {
        name: [seconds / counts[name] for seconds in each]
        for name, each in in_turns(ways, options.rounds * len(turns)).items()
    }
    for name, each in taken.items():
        yield Figure.of(f"{name}, photos/s", [1 / seconds for seconds in each])
    # Each turn is compared with the turn of ours in the same round; then the median is taken.
    ratios = {name: median(other / own for own, other in zip(taken[OURS], taken[name], strict=True)) for name in counts}
    yield Figure("ours / bare, in lanes", ratios[LANES], at_least=TARGET)
    best = min(ratios[name] for name in ALONE)
    yield Figure("ours / bare, torch's threads at their best batch", best, at_least=TARGET)


def small_model() -> Classifier:
    """Return lite0 without a head, with random weights, as the feature pass takes it."""
    backbone, _, preprocessing = build_backbone(LITE)
    return Classifier(backbone, nn.Identity(), preprocessing, 1.0).eval()


def extract(work: FeaturePass, paths: Sequence[Path]) -> None:
    """Send photos through a feature pass, without its progress lines."""
    with contextlib.redirect_stderr(io.StringIO()):
        work.extract(PhotoSet((), {"all": tuple(Photo(path, 0) for path in paths)}))
