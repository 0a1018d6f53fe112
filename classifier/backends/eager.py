"""Models on torch, computed as they are; those on a GPU are opened by `gpu`."""

import contextlib
from typing import Any

import numpy as np
import torch

from classifier.backends import Backend, Forward, Logits
from classifier.backends.gpu import open_gpu
from classifier.images import Pixels
from classifier.models import Classifier


def open_torch(model: Classifier, backend: Backend, crop: int) -> Forward:
    """Return the torch model as a forward function for photos of `crop` pixels a side; on a GPU, a copy of the model."""
    if backend.device != "cpu":
        return open_gpu(model, backend, crop)

    def forward(pixels: Pixels) -> Logits:
        mixed: Any = torch.autocast("cpu", torch.bfloat16) if backend.precision == "bf16" else contextlib.nullcontext()
        with torch.inference_mode(), mixed:
            return np.concatenate([model(torch.from_numpy(photo[None])).float().numpy() for photo in pixels])

    return forward
