"""The checks of a GPU that call our code directly. Each yields lines of the table: what was checked, the figure, the verdict."""

import copy
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.machine import ROOT, seconds
from classifier.backbones import build_backbone
from classifier.device import found
from classifier.fold import folded
from classifier.models import Classifier, build_head
from tests.gpu import MEASURED, RIGHT, WRONG
from train.loop.engine import set_learning
from train.precision import autocast, compute_exactly, resolve_precision

Line = tuple[str, str, str]  # what was checked, the figure, the verdict
WARM = 10  # steps before the time is measured
# The tests whose code computes on a GPU if there is one.
TESTS = (
    "train/test_collector.py",
    "train/test_feed.py",
    "train/test_reduce.py",
    "train/test_fit.py",
    "classifier/test_fold.py",
    "classifier/test_device.py",
)
# Two processes add up their gradients. Each uses its own GPU if there are two; otherwise they share the device.
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


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where the checks run, and how large they are."""

    device: str
    quick: bool
    backbone: str = "inception_v3"
    batch: int = 32
    repeats: int = 30


def device(setting: Setting) -> Iterator[Line]:
    """Report which GPU was found, and which precision `auto` chooses on it."""
    yield "found", found(), RIGHT if setting.device == "cpu" or torch.cuda.is_available() else WRONG
    yield "torch, precision of auto", f"{torch.__version__}, {resolve_precision('auto')}", MEASURED
    if setting.device == "cuda":
        capability, known = torch.cuda.get_device_capability(), ",".join(torch.cuda.get_arch_list())
        size = torch.cuda.get_device_properties(0).total_memory / 2**30
        yield "compute capability, memory", f"{capability}, {size:.0f} GiB; built for {known}", MEASURED


def tests(setting: Setting) -> Iterator[Line]:
    """Run the tests of what runs on a GPU, if pytest is here."""
    paths = [str(ROOT / "tests" / name) for name in TESTS]
    if importlib.util.find_spec("pytest") is None:
        yield "tests", "", "not run: pytest is not installed"
        return
    chosen = paths[:1] if setting.quick else paths
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *chosen], cwd=ROOT, capture_output=True, text=True)
    said = done.stdout.strip().splitlines() or [done.stderr.strip()[-80:]]
    failed = [line.split(" - ")[0].removeprefix("FAILED ") for line in said if line.startswith("FAILED ")]
    yield "tests", "; ".join([said[-1][:80], *failed]), RIGHT if done.returncode == 0 else WRONG


def steps(setting: Setting) -> Iterator[Line]:
    """Measure the time and GPU memory of training steps on tensors in memory, at each precision: the upper bound of fine-tuning's speed."""
    compute_exactly()
    for precision in ("fp32", "bf16") if setting.device == "cpu" else ("fp32", "bf16", "fp16"):
        rate, fine = step_rate(setting, precision)
        figure = f"{rate:.0f} photos/s, {memory(setting.device):.2f} GiB"
        yield f"training step, {precision}, batch {setting.batch}", figure, MEASURED if fine else WRONG


def step_rate(setting: Setting, precision: str) -> tuple[float, bool]:
    """Return how many photos a second training steps take from memory, and whether all weights stay finite."""
    torch.manual_seed(0)
    device, batch = setting.device, setting.batch
    model, crop = ready_model(setting.backbone, 10)
    if device == "cuda":
        torch.cuda.empty_cache()
    reset_memory(device)
    model = model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")
    pixels = torch.randint(256, (batch, crop, crop, 3), dtype=torch.uint8, device=device)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)

    def run(count: int) -> None:
        for _ in range(count):
            with autocast(device, precision):
                loss = functional.cross_entropy(model(pixels), labels)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        synchronise(device)

    run(min(WARM, setting.repeats))
    rate = batch * setting.repeats / seconds(run, setting.repeats)
    return rate, all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def ranks(setting: Setting) -> Iterator[Line]:
    """Check that two processes add up their tensors, first in main memory and then on the GPU."""
    backend, where = "gloo", "the processor"
    if setting.device == "cuda":
        # NCCL refuses two processes on one GPU.
        several = torch.cuda.device_count() > 1
        backend, where = ("cpu:gloo,cuda:nccl", "two GPUs") if several else ("cpu:gloo,cuda:gloo", "one GPU for both")
    with tempfile.TemporaryDirectory() as folder:
        commands = [[sys.executable, "-c", RANK, str(rank), folder, setting.device, backend] for rank in range(2)]
        running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
        said = [process.communicate()[1].strip().splitlines() for process in running]
    failed = [["no word", *lines][-1] for process, lines in zip(running, said, strict=True) if process.returncode]
    yield f"two ranks, {backend}, {where}", failed[0][:100] if failed else "the same sums", WRONG if failed else RIGHT


def errors(setting: Setting) -> Iterator[Line]:
    """Check that a process can go on after it ran out of GPU memory, and that it cannot after an error in a kernel."""
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
    """Check that batch normalisation can be folded into the convolutions, and measure what that saves."""
    model, pixels = _model(setting)
    other, batch = copy.deepcopy(model), pixels(setting.batch)
    other.backbone = folded(model.backbone, batch.shape[1])
    if other.backbone is model.backbone:
        yield "folding", "not folded", WRONG
        return
    plain, fast = (_seconds(partial(_forward, each, batch, setting.device), setting) for each in (model, other))
    yield "folding", f"folded, {plain / fast:.2f} times as fast in bf16", RIGHT


def casting(setting: Setting) -> Iterator[Line]:
    """Time one photo and eight photos: with autocast, with weights cast once, and on a GPU also the cast weights as a CUDA graph."""
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
    """Return a model in evaluation mode, and a function that makes a batch of random pixels of a given size."""
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
    """Return the forward pass of these pixels as one CUDA graph. It first runs in a stream of its own, as torch requires."""
    side: Any = torch.cuda.Stream()
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
    """Return the median seconds of a call, including the device's work."""

    def call() -> None:
        work()
        synchronise(setting.device)

    return median([seconds(call) for _ in range(3 + setting.repeats)][3:])


def ready_model(backbone_name: str, classes: int) -> tuple[Classifier, int]:
    """Return a model as in fine-tuning, where batch normalisation keeps its statistics, and the side of its photos in pixels."""
    backbone, features, preprocessing = build_backbone(backbone_name)
    model = Classifier(backbone, build_head(features, (), 0.0, classes), preprocessing, 1.0)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    set_learning(model)
    return model, preprocessing.crop


def synchronise(device: str) -> None:
    """Wait until the device has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def memory(device: str) -> float:
    """Return the most GPU memory that was allocated at once since reset_memory, in GiB."""
    return torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0


def reset_memory(device: str) -> None:
    """Reset the maximum that `memory` returns."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
