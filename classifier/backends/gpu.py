"""The torch model on a GPU: folded, with its weights cast once, and a CUDA graph for each of a few sizes of batch.

A CUDA graph starts all kernels of a pass at once. On an H200, one photo through inception_v3 in bf16 took 7.4 ms with autocast,
6.6 ms with weights cast once, and 1.6 ms as a graph; eight photos took 11.1, 8.1 and 2.7 ms (python -m tests.gpu --only casting).
"""

import contextlib
import copy
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from classifier.backbones import convolutions
from classifier.backends import Backend, Forward, Logits
from classifier.errors import short_reason
from classifier.fold import folded
from classifier.images import Pixels
from classifier.models import Classifier

# Numbers of photos in a pass. cuDNN makes a new plan and allocates memory for each new number, so there are only a few. The last is
# serve.worker.CHUNK.
SIZES = (1, 2, 4, 8, 16, 32)
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def open_gpu(model: Classifier, backend: Backend, crop: int) -> Forward:
    """Return a copy of the model on the GPU as a forward function for any number of photos; the model itself is not moved."""
    copied = copy.deepcopy(model)
    # Fold on the processor: a GPU would fold in TF32, and the folded backbone would give other features.
    copied.backbone = folded(copied.backbone, crop)
    dtype = _TYPES.get(backend.precision)
    if dtype:
        _cast(copied, dtype)
    copied.to(backend.device)
    passes = _Passes(copied, backend.device, dtype)

    def forward(pixels: Pixels) -> Logits:
        parts = [pixels[start : start + SIZES[-1]] for start in range(0, len(pixels), SIZES[-1])]
        return np.concatenate([passes.run(padded(part))[: len(part)] for part in parts])

    return forward


class _Passes:
    """Computes batches: on a GPU with a CUDA graph for each size of batch, on a processor by plain calls of the model."""

    def __init__(self, model: Classifier, device: str, dtype: torch.dtype | None) -> None:
        self._model, self._device, self._dtype = model, device, dtype
        self._graphs: dict[int, _Graph] = {}
        self._captures = device == "cuda"

    def run(self, pixels: Pixels) -> Logits:
        """Return the logits of a batch."""
        images = torch.from_numpy(pixels).to(self._device)
        mixed: Any = contextlib.nullcontext()
        if self._dtype:
            # Without autocast's cache, since a cached cast would be part of only one graph, and missing in the others.
            mixed = torch.autocast(self._device, self._dtype, cache_enabled=False)
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), mixed, exact:
            logits = self._pass(images)
        found: Logits = logits.float().cpu().numpy()
        return found

    def _pass(self, images: Tensor) -> Tensor:
        if self._captures and len(images) not in self._graphs:
            try:
                self._graphs[len(images)] = _Graph(self._model, images)
            except RuntimeError as error:  # a model that waits for the GPU during its pass cannot be captured
                self._captures = False
                print(f"the model is computed without CUDA graphs ({short_reason(error)})", file=sys.stderr, flush=True)
        graph = self._graphs.get(len(images))
        if graph:
            return graph.replay(images)
        logits: Tensor = self._model(images)
        return logits


class _Graph:
    """A captured pass over batches of one size."""

    def __init__(self, model: Classifier, images: Tensor) -> None:
        self._images = images.clone()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # two passes before the capture, in which cuDNN chooses its plans
            for _ in range(2):
                model(self._images)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits: Tensor = model(self._images)

    def replay(self, images: Tensor) -> Tensor:
        """Return the logits of a batch, in memory that the next call overwrites."""
        self._images.copy_(images)
        self._graph.replay()
        return self._logits


def warm(forward: Forward, crop: int) -> None:
    """Compute once with every size of batch, so that no request waits for plans and captures."""
    for size in SIZES:
        forward(np.zeros((size, crop, crop, 3), np.uint8))


def padded(pixels: Pixels) -> Pixels:
    """Return the photos followed by as many black ones as fill the next of SIZES."""
    missing = next(size for size in SIZES if size >= len(pixels)) - len(pixels)
    return np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), pixels.dtype)]) if missing else pixels


def _cast(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast, once, the weights that autocast would cast in every pass; the answers stay the same."""
    # Layers of derived classes keep their weights, since some of them compute in float32.
    plain = (*convolutions(), nn.Linear)
    for layer in model.modules():
        if type(layer) in plain:
            layer.to(dtype)
