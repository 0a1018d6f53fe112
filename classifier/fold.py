"""Fold batch normalisation into the convolutions before it, so that a frozen backbone gives the same features faster."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# The folded backbone is used only if no feature differs by more than this share of the largest feature.
TOLERANCE = 1e-4


def folded(backbone: nn.Module, crop: int) -> nn.Module:
    """Return a copy of a frozen backbone in which each BatchNorm is folded into the Conv2d that feeds it.

    A run on one random image of `crop` pixels a side shows which BatchNorm reads which convolution's output. The backbone itself is
    returned when nothing can be folded, or when the copy's float32 features of that image differ (see TOLERANCE).
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules()):
        return backbone
    device, threads = next(backbone.parameters()).device, torch.get_num_threads()
    # The probe has its own generator, so that it does not change the random numbers that initialise the head.
    probe = torch.randn(1, 3, crop, crop, generator=torch.Generator().manual_seed(0)).to(device)
    torch.set_num_threads(1)  # one thread, which takes 0.2 s; on a busy machine torch's many threads took 13 s
    try:
        copied = copy.deepcopy(backbone).eval()
        # Convolutions on a GPU compute in TF32 by default. Its rounding alone would exceed TOLERANCE.
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            pairs = _pairs(copied, probe)
            expected = copied(probe)
            for convolution, norm in pairs:
                _fold(copied, convolution, norm)
            difference = (copied(probe) - expected).abs().max()
        return copied if difference <= TOLERANCE * expected.abs().max() else backbone
    except Exception:  # an unknown layer may raise any error; the backbone also works unfolded
        return backbone
    finally:
        torch.set_num_threads(threads)


def _pairs(backbone: nn.Module, pixels: Tensor) -> list[tuple[str, str]]:
    """Return the names of each Conv2d and the BatchNorm2d that reads its output, if both run exactly once."""
    outputs: dict[int, tuple[str, Tensor]] = {}
    runs: dict[str, int] = {}
    found: list[tuple[str, str]] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            runs[name] = runs.get(name, 0) + 1
            if isinstance(module, nn.Conv2d):
                outputs[id(output)] = name, output  # keep the tensor, so that no other tensor gets its id
            elif id(inputs[0]) in outputs:
                found.append((outputs[id(inputs[0])][0], name))

        return hook

    handles = [
        module.register_forward_hook(watch(name))
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    backbone(pixels)
    for handle in handles:
        handle.remove()
    return [(conv, norm) for conv, norm in found if runs[conv] == runs[norm] == 1]


def _fold(backbone: nn.Module, convolution: str, norm: str) -> None:
    old: Any = backbone.get_submodule(norm)
    backbone.set_submodule(convolution, fuse_conv_bn_eval(backbone.get_submodule(convolution), old))  # type: ignore[type-var]
    # timm's normalisation layers contain the activation that follows them.
    after = [getattr(old, name) for name in ("drop", "act") if hasattr(old, name)]
    backbone.set_submodule(norm, nn.Sequential(*after) if after else nn.Identity())
