"""How fast one thread decodes photos and runs a model: what no server can beat, and what each backend does.

    python -m benchmarks.limit ARTIFACT LIST BACKEND,BACKEND ROUNDS

LIST is a file with one path a line. Prints JSON. A process of its own: it must be like a worker, and torch in it counts.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import seconds
from classifier import artifact, backends
from classifier.backends import eager, ir
from classifier.guard import NEAR, softmax
from classifier.images import load_pixels
from classifier.selftest import compare, probabilities
from classifier.spec import ModelSpec

# As serve.model_server sets them for its workers.
WORKER = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
ONNXRUNTIME = "onnxruntime"  # measured, not shipped
DECODE = "decode"
Forward = Callable[[Any], Any]


def measure(folder: Path, listed: Path, names: Sequence[str], *, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds a photo of decoding and of each backend by round, from a process with a worker's environment."""
    command = [sys.executable, "-m", "benchmarks.limit", str(folder), str(listed), ",".join(names), str(rounds)]
    done = subprocess.run(command, env=os.environ | WORKER, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(folder: Path, listed: Path, names: list[str], rounds: int) -> None:
    """Time decoding and every backend in turn, round by round, and print the milliseconds a photo."""
    import torch

    torch.set_num_threads(1)
    bodies = [Path(path).read_bytes() for path in listed.read_text().splitlines()]
    preprocessing = artifact.check(folder).spec.preprocessing
    pixels = [load_pixels(body, preprocessing)[None] for body in bodies]
    work: dict[str, tuple[Forward, Sequence[Any]]] = {DECODE: (lambda body: load_pixels(body, preprocessing), bodies)}
    for name, forward in _forwards(folder, names).items():
        work[name] = forward, pixels
        forward(pixels[0])
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, (function, photos) in work.items():
            times[name].append(1000 * sum(seconds(function, photo) for photo in photos) / len(photos))
    print(json.dumps(times))


def differences(folder: Path, paths: Sequence[Path], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return how far each backend is from the float32 model on photos, whatever the guard says of it."""
    import torch

    model, spec = artifact.load(folder)
    pixels = np.stack([load_pixels(path.read_bytes(), spec.preprocessing) for path in paths])
    expected = probabilities(model, torch.from_numpy(pixels)).numpy()
    found = {}
    for name, forward in _forwards(folder, names).items():
        ours = softmax(forward(pixels))
        moved = np.abs(ours - expected).max(axis=1)
        found[name] = {
            "largest": float(moved.max()),
            "mean of each photo's largest": float(moved.mean()),
            "photos moved by more than the guard allows": int((moved > NEAR).sum()),
            "top-1 changes": compare(ours, expected).top1_changes,
        }
    return found


def _forwards(folder: Path, names: Sequence[str]) -> dict[str, Forward]:
    """Open backends as a worker would, with one thread, past the guard."""
    model, spec = artifact.load(folder)
    crop, found = spec.preprocessing.crop, {}
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        ir.write_ir(ir.from_torch(model, crop), out)
        for name in names:
            if name == ONNXRUNTIME:
                found[name] = _onnxruntime(model, spec, out)
            elif backends.BACKENDS[name].library == "openvino":
                found[name] = ir.open_ir(out / ir.IR, backends.BACKENDS[name].precision, 1)
            else:
                found[name] = eager.open_torch(model, backends.BACKENDS[name], crop)
    return found


def _onnxruntime(model: Any, spec: ModelSpec, out: Path) -> Forward:
    import onnxruntime
    import torch

    crop = spec.preprocessing.crop
    artifact._export_onnx(model, torch.zeros(2, crop, crop, 3, dtype=torch.uint8), out / artifact.ONNX)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(out / artifact.ONNX, options, providers=["CPUExecutionProvider"])
    return lambda pixels: np.concatenate([session.run(None, {"pixels": photo[None]})[0] for photo in pixels])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4]))
