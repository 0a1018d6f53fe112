"""torch.compile, where there is what it needs."""

import os
import shutil

import torch
from torch import nn


def compiled(model: nn.Module) -> nn.Module:
    """Return the model compiled, or as it is after one sentence where no C++ compiler is installed."""
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++")):
        print("compile: no C++ compiler is installed (g++ or clang++), so the model is trained as it is", flush=True)
        return model
    wrapped: nn.Module = torch.compile(model)  # type: ignore[assignment]
    return wrapped
