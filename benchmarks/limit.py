"""How fast one thread decodes photos and runs a model: what no server can beat, and what each backend does.

    python -m benchmarks.limit ARTIFACT LIST --backends openvino-bf16,openvino [--rounds N] [--photos N]

LIST is a file with one path a line. Prints JSON. A process of its own: it must be like a worker, and torch in it counts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np

from classifier import artifact
from classifier.images import load_pixels
from classifier.selftest import compare, probabilities
from classifier.spec import ModelSpec
from serve import backends
from serve.predictor import GUARD, PREPARED, softmax
from serve.prepare import prepare

# As serve.model_server sets them for its workers.
WORKER = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
ONNXRUNTIME = "onnxruntime"  # measured, not shipped


def measure(folder: Path, paths: Sequence[Path], names: Sequence[str], *, rounds: int, photos: int) -> dict[str, Any]:
    """Run this module in a process whose environment is a worker's, and return what it printed."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("".join(f"{path.resolve()}\n" for path in paths))
        listed.flush()
        command = [sys.executable, "-m", "benchmarks.limit", str(folder), listed.name, "--backends", ",".join(names)]
        command += ["--rounds", str(rounds), "--photos", str(photos)]
        done = subprocess.run(command, env=os.environ | WORKER, check=True, stdout=subprocess.PIPE, text=True)
    return cast(dict[str, Any], json.loads(done.stdout.splitlines()[-1]))


def differences(folder: Path, paths: Sequence[Path], names: Sequence[str]) -> dict[str, Any]:
    """Return how far each backend is from the float32 model on photos, whatever the guard says of it."""
    import torch

    model, spec = artifact.load(folder)
    pixels = np.stack([load_pixels(path.read_bytes(), spec.preprocessing) for path in paths])
    expected = probabilities(model, torch.from_numpy(pixels)).numpy()
    found = {}
    for name, forward in _forwards(folder, names).items():
        ours = softmax(forward(pixels))
        difference = compare(ours, expected)
        moved = np.abs(ours - expected).max(axis=1)
        found[name] = {
            "largest": difference.largest,
            "mean of each photo's largest": float(moved.mean()),
            "photos moved by more than the guard allows": int((moved > GUARD).sum()),
            "top-1 changes": difference.top1_changes,
            "photos": len(paths),
        }
    return found


def _forwards(folder: Path, names: Sequence[str]) -> dict[str, Callable[[Any], Any]]:
    """Open backends as a worker would, with one thread, past the guard."""
    model, spec = artifact.load(folder)
    found: dict[str, Callable[[Any], Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        backends.write_ir(backends.from_torch(model, spec.preprocessing.crop), out)
        for name in names:
            if name == ONNXRUNTIME:
                found[name] = _onnxruntime(model, spec, out)
                continue
            backend = backends.BACKENDS[name]
            openvino = backend.library == "openvino"
            found[name] = (
                backends.open_ir(out / backends.IR, backend.precision, 1)
                if openvino
                else backends.open_torch(model, backend, spec.preprocessing.crop)
            )
    return found


def _onnxruntime(model: Any, spec: ModelSpec, out: Path) -> Callable[[Any], Any]:
    import onnxruntime
    import torch

    crop = spec.preprocessing.crop
    artifact._export_onnx(model, torch.zeros(2, crop, crop, 3, dtype=torch.uint8), out / artifact.ONNX)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(out / artifact.ONNX, options, providers=["CPUExecutionProvider"])
    return lambda pixels: np.concatenate([session.run(None, {"pixels": photo[None]})[0] for photo in pixels])


def main() -> int:
    """Time decoding and every backend in turn, round by round, and print seconds a photo."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limit")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("list", type=Path)
    parser.add_argument("--backends", type=lambda text: text.split(","), required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=40)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    bodies = [Path(path).read_bytes() for path in options.list.read_text().splitlines()[: options.photos]]
    preprocessing = artifact.check(options.artifact).spec.preprocessing
    forwards = _forwards(options.artifact, options.backends)
    pixels = [load_pixels(body, preprocessing) for body in bodies]
    for forward in forwards.values():
        forward(pixels[0][None])
    seconds: dict[str, list[float]] = {name: [] for name in ("decode", *forwards)}
    for _ in range(options.rounds):
        seconds["decode"].append(_seconds(lambda body: load_pixels(body, preprocessing), bodies))
        for name, forward in forwards.items():
            seconds[name].append(_seconds(forward, [photo[None] for photo in pixels]))
    print(json.dumps({name: {"median": median(times), "rounds": times} for name, times in seconds.items()}))
    return 0


def _seconds(function: Callable[[Any], Any], arguments: Sequence[Any]) -> float:
    start = time.perf_counter()
    for argument in arguments:
        function(argument)
    return (time.perf_counter() - start) / len(arguments)


def prepared(folder: Path, out: Path) -> str:
    """Prepare an artifact with the server's own choice and return the backend's name; raises UserError as serve.prepare."""
    prepare(folder, out, backends.AUTO)
    name: str = json.loads((out / PREPARED).read_text())["backend"]
    return name


if __name__ == "__main__":
    sys.exit(main())
