"""How fast one thread decodes photos and runs a model: what no server can beat, and what each backend does.

    python -m benchmarks.limit ARTIFACT LIST BACKEND,BACKEND ROUNDS

LIST is a file with one path a line. Prints JSON. This runs as its own process, so that its environment and memory are like a
worker's.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.machine import in_turns
from classifier import artifact
from classifier.guard import NEAR
from classifier.images import load_pixels
from classifier.selftest import compare, probabilities, read_selftest
from serve.predictor import Predictor
from serve.prepare import prepare

# As serve.model_server sets them for its workers.
WORKER = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
ONNXRUNTIME = "onnxruntime"  # measured, not shipped
DECODE = "decode"
IN_TURNS = "in-turns"  # decoding and the first backend, photo by photo as in a worker: each finds the other's data in the caches


def measure(folder: Path, listed: Path, names: Sequence[str], *, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds a photo of decoding and of each backend by round, from a process with a worker's environment.

    A name may also be ONNXRUNTIME or IN_TURNS.
    """
    command = [sys.executable, "-m", "benchmarks.limit", str(folder), str(listed), ",".join(names), str(rounds)]
    done = subprocess.run(command, env=os.environ | WORKER, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(folder: Path, listed: Path, names: list[str], rounds: int) -> None:
    """Time decoding and every backend in turn, round by round, and print the milliseconds a photo."""
    bodies = [Path(path).read_bytes() for path in listed.read_text().splitlines()]

    def each(function: Callable[[Any], object], photos: Sequence[Any]) -> None:
        for photo in photos:
            function(photo)

    with TemporaryDirectory() as name:
        opened = {
            backend: _opened(folder, Path(name), backend) for backend in names if backend not in (ONNXRUNTIME, IN_TURNS)
        }
        decode = next(iter(opened.values())).decode
        pixels = [decode(body)[None] for body in bodies]
        forwards: dict[str, Callable[[Any], object]] = {name: one.probabilities for name, one in opened.items()}
        if ONNXRUNTIME in names:
            forwards[ONNXRUNTIME] = _onnxruntime(folder, Path(name))
        for forward in forwards.values():
            forward(pixels[0])
        ways = {DECODE: partial(each, decode, bodies)}
        ways |= {name: partial(each, forward, pixels) for name, forward in forwards.items()}
        if IN_TURNS in names:
            ways[IN_TURNS] = partial(each, lambda body: forwards[names[0]](decode(body)[None]), bodies)
        # Without what other processes take; on a quiet machine both clocks show the same.
        times = in_turns(ways, rounds, time.process_time)
    print(json.dumps({name: [1000 * one / len(bodies) for one in taken] for name, taken in times.items()}))


def differences(folder: Path, paths: Sequence[Path], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return how far each backend is from the float32 model on photos, whatever the guard says of it."""
    import torch

    model, spec = artifact.load(folder)
    pixels = np.stack([load_pixels(path.read_bytes(), spec.preprocessing) for path in paths])
    expected, found = probabilities(model, torch.from_numpy(pixels)).numpy(), {}
    for name in names:
        with TemporaryDirectory() as place:
            ours = _opened(folder, Path(place), name).probabilities(pixels)
        moved = np.abs(ours - expected).max(axis=1)
        found[name] = {
            "largest": float(moved.max()),
            "mean of each photo's largest": float(moved.mean()),
            "photos moved by more than the guard allows": int((moved > NEAR).sum()),
            "top-1 changes": compare(ours, expected).top1_changes,
        }
    return found


def _opened(folder: Path, work: Path, backend: str) -> Predictor:
    """Open a backend as a worker with one thread does. A backend that is named is opened although it is outside the guard."""
    with contextlib.redirect_stdout(sys.stderr):
        prepare(folder, work / backend, backend)
    return Predictor(work / backend, threads=1)


def _onnxruntime(folder: Path, work: Path) -> Callable[[Any], object]:
    import onnxruntime
    import torch

    model, spec = artifact.load(folder)
    artifact.save(work, model, spec, torch.from_numpy(read_selftest(folder).pixels), {}, artifact.Extras(onnx=True))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(work / artifact.ONNX, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4]))
