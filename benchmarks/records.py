"""Measures the cost of training's records: the same work with and without records, in turns, and one measurement of the machine.

python -m benchmarks.records [PHOTOS]
"""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import nn

from benchmarks import parts
from benchmarks.features import extract, without_head
from benchmarks.machine import LITE, in_turns, sample_photos
from benchmarks.parts import Figure, Options
from train.config import Config
from train.features import FeaturePass, Features
from train.head.stage import head_stage
from train.loop.engine import fit
from train.processes.world import World
from train.report import Monitor, Records, StepRecords
from train.report.gpus import Gpus
from train.report.proc import Machine
from train.report.system import INTERVAL

PHOTOS, CLASSES, WIDTH = 2000, 120, 1280  # the head's data; small backbones have this width, and their steps are short


def _cost(options: Options) -> Iterator[Figure]:
    """Compare the processor time of head and feature pass with and without records, and time one measurement of the machine."""
    paths = sample_photos(options.folder, options.count)
    # With several threads on a busy machine, their waiting time for each other would be larger than the difference.
    torch.set_num_threads(1)
    model = without_head(LITE)

    def feature_pass(times: StepRecords | None) -> None:
        extract(FeaturePass(model=model, precision="fp32", times=times), paths)

    for name, work in (("head", _head()), ("feature pass", feature_pass)):
        with TemporaryDirectory(prefix="bench-records-") as folder:
            records = Records(Path(folder))
            ways = {"with": partial(work, StepRecords(records)), "without": partial(work, None)}
            taken = in_turns(ways, options.rounds, clock=time.process_time)
            records.close()
        # The first round is the warm-up and is left out.
        ratios = [one / other for one, other in zip(taken["with"][1:], taken["without"][1:], strict=True)]
        yield Figure.of(f"{name}: processor time with records / without", ratios, at_most=1.02)
    reads = in_turns({"machine": Machine().read, "gpus": Gpus().read}, 50, clock=time.thread_time)
    share = sum(map(median, reads.values())) / INTERVAL
    yield Figure("two measurements of the machine a second, share of a core", share)


def _head() -> Callable[[StepRecords | None], None]:
    """Return a function that trains the head for two epochs on random features. No other steps of training are as short."""
    labels = torch.arange(PHOTOS) % CLASSES
    features = torch.randn(PHOTOS, WIDTH, generator=torch.Generator().manual_seed(0))
    data = Features(features=features, rows=torch.arange(PHOTOS), labels=labels, photos=(), fingerprint="")

    def head(times: StepRecords | None) -> None:
        stage = head_stage(nn.Linear(WIDTH, CLASSES), data, data, Config(epochs=2), World())
        fit(stage, lambda epoch, metrics: None, monitor=Monitor(steps=times))

    return head


PARTS = {"cost": _cost}
OPTIONS = {"rounds": (11, "number of turns with and without records"), "count": (64, "number of photos of a turn")}

if __name__ == "__main__":
    sys.exit(parts.main("records", PARTS, OPTIONS, folder="data/samples"))
