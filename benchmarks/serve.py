"""Compares the speed of our server with other servers and with the limit of one thread, on the same artifact, photos and cores.

    python -m benchmarks.serve [FOLDER] [--peers-python PATH] [--part inception_v3,start,...] [sizes, which --help lists]

FOLDER (../shared/data/photos) holds photos of natural size. PATH is the Python of .venv-peers (bash requirements/setup_peers.sh).
wrk loads one server at a time, round by round. The artifacts are kept in --artifacts; remove them after a change of the training program.
"""

import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import limit, parts, servers
from benchmarks.artifacts import random_weights
from benchmarks.jobs import ours
from benchmarks.load import compare, inputs, load
from benchmarks.machine import LITE, has_bf16, sample_photos
from benchmarks.parts import Figure, Options
from classifier.backends import BACKENDS

MODELS = ("inception_v3", "lite0")  # lite0 is trained on photos of three breeds, inception_v3 has random weights
KINDS = ("natural", "12mp", "224")  # kinds of photos
TIMED = 24  # number of photos in the part backends
OPTIONS = {
    "train": (Path("../shared/data/dogs"), "folder of photos on which lite0 is trained"),
    "peers-python": (Path(".venv-peers/bin/python"), "Python of the environment with the other servers"),
    "seconds": (5.0, "seconds of each load"),
    "rounds": (3, "number of rounds over all servers"),
    "large": (24, "number of photos of 12 megapixels"),
    "artifacts": (Path("runs/bench-serve"), "folder of the artifacts, which are made if absent"),
}


def _artifact(options: Options, model: str) -> Path:
    """Return the folder of the model's artifact. Make the artifact if it does not exist."""
    job: Path = options.artifacts.resolve() / model
    folder = job / "model"
    if not (folder / "model.json").exists():
        if model == "lite0":
            ours(options.train, LITE, {}, base=job)
        else:
            random_weights(folder, model, sorted(sample_photos(options.folder, 200)))
    return folder


def _backends(options: Options) -> Iterator[Figure]:
    """Time every backend on one thread."""
    precisions = ("fp32", "bf16") if has_bf16() else ("fp32",)
    names = [name for name, one in BACKENDS.items() if one.device == "cpu" and one.precision in precisions]
    photos = sample_photos(options.folder, TIMED)
    for model in MODELS:
        for name, taken in limit.measure(_artifact(options, model), photos, names, rounds=options.rounds).items():
            yield Figure.of(f"{model}: {name}, ms a photo", taken)


def _start(options: Options) -> Iterator[Figure]:
    """Measure the time from the start of `serve` to its first answer, and a worker's memory after some load."""
    seconds, memory = [], []
    with TemporaryDirectory(prefix="bench-serve-") as name:
        photos = [inputs(options.folder, kind, Path(name) / kind, options.large) for kind in ("natural", "12mp")]
        for number in range(options.rounds):
            server, started = servers.ours(_artifact(options, "lite0")), time.monotonic()
            with servers.running(server, photos[0][0].read_bytes(), Path(name) / f"start-{number}") as running:
                seconds.append(time.monotonic() - started)
                for paths in photos:
                    load(running, paths, 4, options.seconds)
                workers = [each for each in running.processes() if each.pid != running.pid and each.name() != "java"]
                memory.append(max(process.memory_info().rss for process in workers) / 2**20)
    yield Figure.of("lite0: seconds from serve to the first 200", seconds, at_most=3)
    yield Figure("lite0: largest worker after photos of 12 megapixels, MB", max(memory), at_most=350)


def _part(model: str, kind: str, *, alone: bool) -> parts.Part:
    """Return the part that loads every server, or only ours if `alone`, with a model and a kind of photos."""
    return lambda options: compare(options, _artifact(options, model), kind, alone=alone)


PARTS: dict[str, parts.Part] = {
    "backends": _backends,
    **{f"{model}-{kind}": _part(model, kind, alone=False) for model, kind in product(MODELS, KINDS)},
    **{f"alone-{model}-{kind}": _part(model, kind, alone=True) for model, kind in product(MODELS, KINDS)},
    "start": _start,
}

if __name__ == "__main__":
    sys.exit(parts.main("serve", PARTS, OPTIONS, folder="../shared/data/photos"))
