"""A head of three classes on clouds of points, trained in this process."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from train.config import Config
from train.features import Features
from train.head.stage import head_stage
from train.loop.engine import fit
from train.loop.stage import Best
from train.processes.world import World

RATE = 0.1
SGD: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.0, "lr": RATE, "epochs": 1}
Epochs = list[Mapping[str, Any]]


def clouds(count: int = 8) -> Features:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    return Features(
        features=torch.randn(count, 4, generator=random) + labels[:, None],
        rows=torch.arange(count),
        labels=labels,
        photos=(),
        fingerprint="",
    )


def trained(config: Config, seed: int = 0, **changes: object) -> tuple[nn.Linear, Epochs, Best | None]:
    """Train a new head by the configuration, with some settings of its stage replaced."""
    torch.manual_seed(0)
    head, data, epochs = nn.Linear(4, 3), clouds(), Epochs()
    stage = head_stage(head, data, data, config, World())
    stage.seed = seed
    for name, value in changes.items():
        setattr(stage.updates if name == "scaler" else stage, name, value)
    best = fit(stage, lambda epoch, metrics: epochs.append(metrics))
    return head, epochs, best


def weights(model: nn.Linear) -> Tensor:
    return model.weight.detach()
