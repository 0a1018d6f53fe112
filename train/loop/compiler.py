"""Calls torch.compile if the compilers that it needs are installed."""

import shutil

import torch
from torch import nn
from torch.utils._triton import has_triton

from train.environment import CXX


def compiled(model: nn.Module) -> nn.Module:
    """Return the compiled model. Without a C++ compiler, or on a GPU without triton, print that and return the model unchanged."""
    if not any(shutil.which(name) for name in (CXX.read(), "clang++")):
        print("compile: no C++ compiler is installed (g++ or clang++), so the model is trained as it is", flush=True)
        return model
    if next(model.parameters()).is_cuda and not has_triton():
        print(
            "compile: triton is not installed or this GPU is too old for it, so the model is trained as it is",
            flush=True,
        )
        return model
    wrapped: nn.Module = torch.compile(model)  # type: ignore[assignment]
    return wrapped
