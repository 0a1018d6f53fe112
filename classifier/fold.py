"""Batch normalisation folded into the convolutions before it: a frozen backbone that gives the same features sooner."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Largest difference of a feature, as a share of the largest feature, at which the folded backbone is used.
TOLERANCE = 1e-4


def folded(backbone: nn.Module, crop: int) -> nn.Module:
    """Return a copy of a frozen backbone with each BatchNorm folded into the Conv2d that alone feeds it.

    Which layer feeds which is seen as it runs on a probe of `crop` pixels a side. The backbone itself is returned where
    there is nothing to fold or the copy's float32 features of the probe are not the same.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules()):
        return backbone
    device, threads = next(backbone.parameters()).device, torch.get_num_threads()
    # A generator of its own: what is drawn for the head's first weights must not depend on this.
    probe = torch.randn(1, 3, crop, crop, generator=torch.Generator().manual_seed(0)).to(device)
    torch.set_num_threads(1)  # on a busy machine torch's own threads took 13 s for what one does in 0.2 s
    try:
        copied = copy.deepcopy(backbone).eval()
        # In TF32, which convolutions take on a GPU unless told otherwise, any two orders of sums differ by more than that.
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            pairs = _pairs(copied, probe)
            expected = copied(probe)
            for convolution, norm in pairs:
                _fold(copied, convolution, norm)
            difference = (copied(probe) - expected).abs().max()
        return copied if difference <= TOLERANCE * expected.abs().max() else backbone
    except Exception:  # whatever a layer of another kind may raise: folding only saves time
        return backbone
    finally:
        torch.set_num_threads(threads)


def _pairs(backbone: nn.Module, pixels: Tensor) -> list[tuple[str, str]]:
    """Return the names of each Conv2d and BatchNorm2d whose input is its output, where both run once."""
    outputs: dict[int, tuple[str, Tensor]] = {}
    runs: dict[str, int] = {}
    found: list[tuple[str, str]] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            runs[name] = runs.get(name, 0) + 1
            if isinstance(module, nn.Conv2d):
                outputs[id(output)] = name, output  # the reference keeps the id from being given to another tensor
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
    # timm's normalisation layers hold the activation that follows.
    after = [getattr(old, name) for name in ("drop", "act") if hasattr(old, name)]
    backbone.set_submodule(norm, nn.Sequential(*after) if after else nn.Identity())
