"""Checks of benchmarks.gpu that need no whole program: one of them in this process, whose lines are JSON.

python -m benchmarks.gpu_checks NAME [--device cpu] [--quick]
"""

import argparse
import copy
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu_train import ready_model, steps_per_second, synchronise
from benchmarks.machine import ROOT
from classifier.device import found
from classifier.fold import folded
from classifier.models import Classifier
from train.precision import autocast, compute_exactly, resolve_precision

MEASURED, RIGHT, WRONG = "measured", "right", "wrong"
Line = tuple[str, str, str]  # what, figure, verdict
TESTS = (
    "train/test_collector.py",
    "train/test_feed.py",
    "train/test_reduce.py",
    "train/test_fit.py",
    "classifier/test_fold.py",
    "classifier/test_device.py",
)
# Two processes that add gradients up, on a GPU each where there are two, else both on what is there.
RANK = """
import os, sys, torch
from torch import distributed
from train.loop.reduce import add_up, overlapped
rank, folder, device, backend = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
if device == "cuda":
    torch.cuda.set_device(rank % torch.cuda.device_count())
distributed.init_process_group(backend, init_method=f"file://{folder}/meet", rank=rank, world_size=2)
whole = torch.ones(2)
distributed.all_reduce(whole)  # as stage 1 does, whose tensors lie in main memory
assert whole.tolist() == [2, 2]
torch.manual_seed(0)
model = torch.nn.Sequential(*[torch.nn.Linear(512, 512) for _ in range(8)]).to(device)
parameters = list(model.parameters())
torch.manual_seed(1 + rank)
pixels = torch.randn(32, 512).to(device)
grad = lambda: torch.autograd.grad(model(pixels).square().sum(), parameters)
for parameter, gradient in zip(parameters, grad()):
    parameter.grad = gradient
add_up(parameters)
expected = [parameter.grad.clone() for parameter in parameters]
for parameter in parameters:
    parameter.grad = None
with overlapped(parameters, 1, size=2**20):
    grad()
for parameter, wanted in zip(parameters, expected):
    torch.testing.assert_close(parameter.grad, wanted)
distributed.destroy_process_group()
"""
STICKY = """
import torch
try:
    torch.zeros(4, device="cuda")[torch.tensor([9], device="cuda")].cpu()
except Exception as error:
    print(f"{type(error).__name__}: {str(error).splitlines()[0]}")
try:
    torch.zeros(4, device="cuda").sum().item()
    print("the GPU answers again")
except Exception as error:
    print("every later call fails")
"""


@dataclass(frozen=True)
class Setting:
    """Where the checks run, and how large they are."""

    device: str
    quick: bool
    backbone: str = "inception_v3"
    batch: int = 32
    repeats: int = 30


def device(setting: Setting) -> Iterator[Line]:
    """What was found, and the precision that it gets."""
    yield "found", found(), RIGHT if setting.device == "cpu" or torch.cuda.is_available() else WRONG
    yield "torch, precision of auto", f"{torch.__version__}, {resolve_precision('auto')}", MEASURED
    if setting.device == "cuda":
        capability, memory = torch.cuda.get_device_capability(), torch.cuda.get_device_properties(0).total_memory
        known = ",".join(torch.cuda.get_arch_list())
        yield "compute capability, memory", f"{capability}, {memory / 2**30:.0f} GiB; built for {known}", MEASURED


def tests(setting: Setting) -> Iterator[Line]:
    """The tests of what runs on a GPU, where pytest and the tests are."""
    paths = [str(ROOT / "tests" / name) for name in TESTS]
    if importlib.util.find_spec("pytest") is None or not (ROOT / "tests").is_dir():
        yield "tests", "", "not run: there is no pytest or no folder tests"
        return
    chosen = paths[:1] if setting.quick else paths
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *chosen], cwd=ROOT, capture_output=True, text=True)
    said = done.stdout.strip().splitlines() or [done.stderr.strip()[-80:]]
    failed = [line.split(" - ")[0].removeprefix("FAILED ") for line in said if line.startswith("FAILED ")]
    yield "tests", "; ".join([said[-1][:80], *failed]), RIGHT if done.returncode == 0 else WRONG


def steps(setting: Setting) -> Iterator[Line]:
    """Training steps from ready tensors at each precision, with memory."""
    compute_exactly()
    for precision in ("fp32", "bf16", "fp16"):
        if precision == "fp16" and setting.device == "cpu":
            continue
        yield _step(setting, precision, precision)
    if setting.device == "cuda":
        # What explicit fp32 gives away: cuDNN's own default rounds to TF32.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
        yield _step(setting, "fp32", "fp32 with TF32, not used")


def _step(setting: Setting, precision: str, name: str) -> Line:
    torch.manual_seed(0)
    model, crop = ready_model(setting.backbone, 10)
    if setting.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    rate = setting.batch * steps_per_second(model, crop, setting.device, precision, setting.batch, setting.repeats)
    memory = torch.cuda.max_memory_allocated() if setting.device == "cuda" else 0
    fine = all(bool(parameter.isfinite().all()) for parameter in model.parameters())
    figure = f"{rate:.0f} photos/s, {memory / 2**30:.2f} GiB"
    return f"training step, {name}, batch {setting.batch}", figure, MEASURED if fine else WRONG


def ranks(setting: Setting) -> Iterator[Line]:
    """Add up tensors of two processes, once in main memory and once on the GPU. NCCL needs a GPU for each process."""
    backend, where = "gloo", "the processor"
    if setting.device == "cuda":
        # NCCL refuses two processes on one GPU.
        several = torch.cuda.device_count() > 1
        backend, where = ("cpu:gloo,cuda:nccl", "two GPUs") if several else ("cpu:gloo,cuda:gloo", "one GPU for both")
    with tempfile.TemporaryDirectory() as folder:
        commands = [[sys.executable, "-c", RANK, str(rank), folder, setting.device, backend] for rank in range(2)]
        running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
        said = [process.communicate()[1].strip().splitlines() for process in running]
    failed = [
        lines[-1] if lines else "no word" for process, lines in zip(running, said, strict=True) if process.returncode
    ]
    yield f"two ranks, {backend}, {where}", failed[0][:100] if failed else "the same sums", WRONG if failed else RIGHT


def batches(setting: Setting) -> Iterator[Line]:
    """The bare forward pass for each batch size that a server may form, in the first call and then."""
    model, pixels = _model(setting)
    for size in (1, 2, 4) if setting.quick else (1, 2, 4, 8, 16, 32, 64):
        batch = pixels(size)
        started = time.perf_counter()
        _forward(model, batch, setting.device)
        first = time.perf_counter() - started
        seconds = _seconds(partial(_forward, model, batch, setting.device), setting)
        yield f"forward pass, batch {size}", f"first {1000 * first:.0f} ms, then {1000 * seconds:.2f} ms", MEASURED


def errors(setting: Setting) -> Iterator[Line]:
    """Out of memory is over when the memory is free again; an error in a kernel stays until the process ends."""
    if setting.device == "cpu":
        yield "out of memory, sticky errors", "", "not run: it takes a GPU"
        return
    said = ""
    try:
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
    except torch.OutOfMemoryError as error:
        said = str(error).splitlines()[0]
    torch.cuda.empty_cache()
    yield "out of memory: its first line", said[:100], RIGHT if "out of memory" in said else WRONG
    works = torch.ones(4, device="cuda").sum().item() == 4
    yield "out of memory: the GPU answers afterwards", str(works), RIGHT if works else WRONG
    done = subprocess.run([sys.executable, "-c", STICKY], capture_output=True, text=True)
    first, later, *_ = [*done.stdout.splitlines(), "", ""]
    yield "error in a kernel: its first line", first[:100], RIGHT if "assert" in first else WRONG
    yield "error in a kernel: afterwards", later, RIGHT if later == "every later call fails" else WRONG


def folding(setting: Setting) -> Iterator[Line]:
    """Batch normalisation folded into the convolutions: whether it is, how far it is off and what it saves."""
    crop = 32 if setting.quick else 299
    for exact in (False, True):
        torch.manual_seed(0)
        model, pixels = _model(setting)
        torch.backends.cudnn.allow_tf32 = not exact
        backbone = folded(model.backbone, crop)
        done = backbone is not model.backbone
        name = f"folding, TF32 {'off' if exact else 'on'}"
        if not done:
            yield name, "not folded", WRONG if exact else MEASURED
            continue
        other = copy.copy(model)
        other._modules = model._modules | {"backbone": backbone}
        batch = pixels(setting.batch)
        plain = _seconds(partial(_forward, model, batch, setting.device), setting)
        fast = _seconds(partial(_forward, other, batch, setting.device), setting)
        yield name, f"folded, {plain / fast:.2f} times as fast in bf16", RIGHT if exact else MEASURED


def casting(setting: Setting) -> Iterator[Line]:
    """One photo and eight: autocast, weights cast once, and on a GPU the latter as a CUDA graph."""
    model, pixels = _model(setting)
    cast = copy.deepcopy(model)
    cast.backbone, cast.head = cast.backbone.bfloat16(), cast.head.bfloat16()
    for size in (1, 8):
        batch = pixels(size)
        ways: dict[str, Callable[[], Any]] = {
            "autocast": partial(_forward, model, batch, setting.device),
            "weights cast once": partial(_cast_forward, cast, batch),
        }
        if setting.device == "cuda":
            ways["CUDA graph of that"] = _graph(cast, batch)
        with torch.inference_mode():
            expected = model(batch)
        for name, way in ways.items():
            off = float((way() - expected).abs().max() / expected.abs().max())
            figure = f"{1000 * _seconds(way, setting):.2f} ms, off fp32 by {off:.1%}"
            yield f"batch {size}: {name}", figure, RIGHT if off < 0.05 else WRONG


def _model(setting: Setting) -> tuple[Classifier, Callable[[int], Tensor]]:
    """Return a model that answers, and what makes a batch of random pixels for it."""
    torch.manual_seed(0)
    model, crop = ready_model(setting.backbone, 10)
    model = model.eval().to(setting.device)
    shape = (crop, crop, 3)
    return model, lambda size: torch.randint(256, (size, *shape), dtype=torch.uint8, device=setting.device)


@torch.inference_mode()
def _forward(model: nn.Module, pixels: Tensor, device: str) -> Tensor:
    with autocast(device, "bf16"):
        logits: Tensor = model(pixels)
    return logits.float()


@torch.inference_mode()
def _cast_forward(model: Classifier, pixels: Tensor) -> Tensor:
    images = (pixels.permute(0, 3, 1, 2).float() - model.mean) / model.scale
    logits: Tensor = model.head(model.backbone(images.bfloat16()))
    return logits.float()


def _graph(model: Classifier, pixels: Tensor) -> Callable[[], Tensor]:
    """Return the forward pass of these pixels as one CUDA graph; it runs in a stream of its own first, as torch asks."""
    side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            _cast_forward(model, pixels)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = _cast_forward(model, pixels)

    def replay() -> Tensor:
        graph.replay()
        return logits

    return replay


def _seconds(work: Callable[[], Any], setting: Setting) -> float:
    """Return the median seconds of a call, the device's part included."""
    times = []
    for _ in range(3 + setting.repeats):
        started = time.perf_counter()
        work()
        synchronise(setting.device)
        times.append(time.perf_counter() - started)
    return median(times[3:])


CHECKS: dict[str, Callable[[Setting], Iterator[Line]]] = {
    check.__name__: check for check in (device, tests, steps, ranks, batches, errors, folding, casting)
}


def run(checks: dict[str, Callable[[Setting], Iterator[Line]]]) -> int:
    """Run the check that the command line names and print its lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=checks)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch finds no GPU", file=sys.stderr)
        return 1
    setting = Setting(options.device, quick=False)
    if options.quick:
        setting = Setting(options.device, quick=True, backbone="timm/test_efficientnet", batch=4, repeats=3)
    for name, figure, verdict in checks[options.name](setting):
        print(json.dumps({"check": options.name, "name": name, "figure": figure, "verdict": verdict}), flush=True)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(run(CHECKS))
