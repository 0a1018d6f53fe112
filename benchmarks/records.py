"""What training's records cost: the same work with and without them, in turns, and the time of one measurement of the machine.

python -m benchmarks.records [PHOTOS]
"""

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import nn

from benchmarks import parts
from benchmarks.machine import sample_photos
from benchmarks.parts import Figure, Options
from classifier.backbones import build_backbone
from classifier.models import Classifier
from classifier.photos import Photo, PhotoSet
from train.config import Config
from train.features import FeaturePass, Features
from train.head import head_stage
from train.loop.engine import fit
from train.processes.world import World
from train.report import Monitor, Records, StepRecords
from train.report.gpus import Gpus
from train.report.proc import Machine
from train.report.system import INTERVAL

CLASSES, WIDTH = 120, 1280  # of the head; a width of a small backbone, whose steps are short
LIMIT = 1.02  # what records may cost
Turn = Callable[[StepRecords | None], object]


def _cost(options: Options) -> Iterator[Figure]:
    """Compare each work with and without records, and time one measurement of the machine."""
    paths = sample_photos(options.folder, options.count)
    # Threads that wait for each other would drown the difference on a busy machine.
    torch.set_num_threads(1)
    ways: dict[str, Turn] = {"head": _head(2000), "feature pass": _feature_pass(paths)}
    with TemporaryDirectory(prefix="bench-records-") as folder:
        for name, turn in ways.items():
            yield from _ratios(name, turn, Path(folder) / name, options.rounds)
    cost = _measurement()
    yield Figure("one measurement of the machine, ms of a core", 1000 * cost)
    yield Figure("two measurements a second, share of a core", cost / INTERVAL)


def _ratios(name: str, turn: Turn, folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the time with records over the time without them, from turns side by side."""
    records = Records(folder)
    times = StepRecords(records)
    wall, cpu = [], []
    for number in range(rounds):
        taken = {}
        for with_records in (True, False) if number % 2 else (False, True):
            started = time.perf_counter(), time.process_time()
            turn(times if with_records else None)
            taken[with_records] = time.perf_counter() - started[0], time.process_time() - started[1]
        if number:  # the first one warms up
            wall.append(taken[True][0] / taken[False][0])
            cpu.append(taken[True][1] / taken[False][1])
    records.close()
    yield Figure.of(f"{name}: time with records / without", wall, at_most=LIMIT)
    yield Figure.of(f"{name}: processor time with records / without", cpu)


def _head(photos: int) -> Turn:
    """Return two epochs of the head on features that are there already: the shortest steps that training has."""
    random = torch.Generator().manual_seed(0)
    features = torch.randn(photos, WIDTH, generator=random)
    labels = torch.arange(photos) % CLASSES
    data = Features(features=features, rows=torch.arange(photos), labels=labels, photos=(), fingerprint="")

    def turn(times: StepRecords | None) -> None:
        stage = head_stage(nn.Linear(WIDTH, CLASSES), data, data, Config(epochs=2), World())
        fit(stage, lambda epoch, metrics: None, monitor=Monitor(steps=times))

    return turn


def _feature_pass(paths: list[Path]) -> Turn:
    backbone, _, preprocessing = build_backbone("timm/tf_efficientnet_lite0")
    model = Classifier(backbone, nn.Identity(), preprocessing, 1.0).eval()
    photos = PhotoSet((), {"train": tuple(Photo(path, 0) for path in paths)})

    def turn(times: StepRecords | None) -> None:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress lines
            FeaturePass(model=model, precision="fp32", times=times).extract(photos)

    return turn


def _measurement() -> float:
    """Return the processor time of one measurement of the machine, in seconds."""
    measured, gpus, taken = Machine(), Gpus(), []
    for _ in range(50):
        started = time.thread_time()
        measured.read()
        gpus.read()
        taken.append(time.thread_time() - started)
    return median(taken)


OPTIONS = {"rounds": (11, "of turns with and without records"), "count": (64, "photos of a turn")}

if __name__ == "__main__":
    sys.exit(parts.main("records", {"cost": _cost}, OPTIONS, folder="data/samples"))
