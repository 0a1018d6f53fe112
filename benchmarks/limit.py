"""Measures the speed of one thread at decoding photos and at running a model with each backend. No server can be faster.

    python -m benchmarks.limit ARTIFACT BACKEND,BACKEND ROUNDS PHOTO...

Prints JSON. The program is a separate process, so that its environment and memory are like those of a worker.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import in_turns
from serve.predictor import Predictor
from serve.prepare import prepare

# The variables that serve.model_server sets for its workers.
WORKER = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
DECODE = "decode"
# Decode and compute photo by photo, as a worker does. Each step then finds the caches filled with the other step's data.
IN_TURNS = "in turns"


def measure(folder: Path, photos: Sequence[Path], names: Sequence[str], *, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds a photo by round: of decoding, of each backend, and of decoding and the first backend in turns.

    A process with the environment of a worker measures them.
    """
    command = [sys.executable, "-m", "benchmarks.limit", str(folder), ",".join(names), str(rounds), *map(str, photos)]
    found: dict[str, list[float]] = json.loads(subprocess.check_output(command, env=os.environ | WORKER))
    return found


def main(folder: Path, names: list[str], rounds: int, photos: list[str]) -> None:
    """Time decoding and every backend in every round, and print the milliseconds a photo."""
    bodies = [Path(path).read_bytes() for path in photos]
    opened = {}
    with TemporaryDirectory() as work:
        for name in names:
            with contextlib.redirect_stdout(sys.stderr):
                # `prepare` accepts a named backend even if its probabilities differ too much.
                prepare(folder, Path(work) / name, name)
            opened[name] = Predictor(Path(work) / name, threads=1)
        decode = opened[names[0]].decode
        pixels = [decode(body)[None] for body in bodies]
        ways = {DECODE: partial(_each, decode, bodies)}
        for name, predictor in opened.items():
            predictor.probabilities(pixels[0])  # the first call takes longer
            ways[name] = partial(_each, predictor.probabilities, pixels)
        ways[IN_TURNS] = partial(_each, lambda body: opened[names[0]].probabilities(decode(body)[None]), bodies)
        times = in_turns(ways, rounds)
    print(json.dumps({name: [1000 * one / len(bodies) for one in taken] for name, taken in times.items()}))


def _each(function: Callable[[Any], object], photos: Sequence[Any]) -> None:
    for photo in photos:
        function(photo)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3]), sys.argv[4:])
