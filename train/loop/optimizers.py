"""Optimizers, and the learning rates of a backbone's layers."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from train.config import Config

LEVELS = 8  # groups of equal size into which the backbone's layers are divided, each with its own learning rate


def make_optimizer(
    groups: Iterable[dict[str, object]], config: Config, lr: float, *, fused: bool = False
) -> torch.optim.Optimizer:
    """Return the configuration's optimizer for groups of parameters, without weight decay for vectors (norms, biases).

    `fused` makes Adam update a tensor in one pass. Trap: it then pairs weights with gradients by their place in memory, so both
    must have the same layout. The gradients of a convolution in channels_last may have another layout.
    """
    split = []
    for group in groups:
        parameters = list(group["params"])  # type: ignore[call-overload]
        for chosen, decay in (
            ([p for p in parameters if p.ndim > 1], config.weight_decay),
            ([p for p in parameters if p.ndim <= 1], 0.0),
        ):
            if chosen:
                split.append({**group, "params": chosen, "weight_decay": decay})
    if config.optimizer == "sgd":
        return torch.optim.SGD(split, lr=lr, momentum=config.momentum)
    return (torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam)(split, lr=lr, fused=fused or None)


def layer_groups(backbone: nn.Module, above: Iterable[nn.Module], lr: float, decay: float) -> list[dict[str, object]]:
    """Return groups of parameters with their learning rates (discriminative rates, Howard and Ruder 2018).

    The modules above the backbone learn at `lr`. Each eighth of the backbone's layers learns at `decay` times the rate of the
    eighth above it.
    """
    groups: list[dict[str, object]] = [{"params": [p for module in above for p in module.parameters()], "lr": lr}]
    # Layers come in the order of their registration: that of the forward pass, except inside a block with branches.
    layers = [list(module.parameters(recurse=False)) for module in backbone.modules()]
    layers = [layer for layer in layers if layer]
    size = math.ceil(len(layers) / LEVELS)
    for level in range(math.ceil(len(layers) / size)):
        end = len(layers) - level * size
        parameters = [p for layer in layers[max(0, end - size) : end] for p in layer]
        groups.append({"params": parameters, "lr": lr * decay ** (level + 1)})
    return groups


def warmup_cosine(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Return a schedule in which rates rise linearly over the share `warmup` of the steps, then fall to 0 along a cosine."""
    rising = int(steps * warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2

    return LambdaLR(optimizer, factor)
