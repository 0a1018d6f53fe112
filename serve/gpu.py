"""The torch model on a GPU: folded, its weights cast once, its batches of a few sizes that are warm before the first request."""

import contextlib
import copy
from typing import Any

import numpy as np
import torch
from timm.layers import Conv2dSame
from torch import nn

from classifier.fold import folded
from classifier.images import Pixels
from classifier.models import Classifier
from serve.backends import Backend, Forward, Logits

# Photos in a pass: cuDNN plans, and allocates, anew for each number that it has not seen. The last is serve.answers' CHUNK.
SIZES = (1, 2, 4, 8, 16, 32)
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Whose weights autocast would cast on every request. Not layers derived from them, some of which compute with float32 weights.
_CAST = (nn.Conv2d, nn.Linear, Conv2dSame)


def open_gpu(model: Classifier, backend: Backend, crop: int) -> Forward:
    """Return a copy of the model as a forward function that takes all photos at once; the model itself stays where it is."""
    copied = copy.deepcopy(model)
    # On the processor, since in TF32 a folded backbone does not give the same features.
    copied.backbone = folded(copied.backbone, crop)
    dtype = _TYPES.get(backend.precision)
    if dtype:
        _cast(copied, dtype)
    copied.to(backend.device)

    def forward(pixels: Pixels) -> Logits:
        mixed: Any = torch.autocast(backend.device, dtype) if dtype else contextlib.nullcontext()
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        outputs = []
        with torch.inference_mode(), mixed, exact:
            for start in range(0, len(pixels), SIZES[-1]):
                some = pixels[start : start + SIZES[-1]]
                logits = copied(torch.from_numpy(padded(some)).to(backend.device))
                outputs.append(logits[: len(some)].float().cpu().numpy())
        return np.concatenate(outputs)

    return forward


def warm(forward: Forward, crop: int) -> None:
    """Compute once with every size of batch, so that no request waits for what a GPU does the first time."""
    for size in SIZES:
        forward(np.zeros((size, crop, crop, 3), np.uint8))


def padded(pixels: Pixels) -> Pixels:
    """Return the photos with black ones behind them, up to the next of SIZES."""
    missing = next(size for size in SIZES if size >= len(pixels)) - len(pixels)
    return np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), pixels.dtype)]) if missing else pixels


def _cast(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast what autocast would cast, so that its answers stay the same."""
    for layer in model.modules():
        if type(layer) in _CAST:
            layer.to(dtype)
