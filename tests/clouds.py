"""Features that a head can learn without photos, and a head for them."""

import torch
from torch import nn

from classifier.models import build_head
from train.features import Features


def clouds(count: int, seed: int, rank: int = 0, size: int = 1) -> Features:
    """Return overlapping clouds of points, one cloud for each of 8 classes. One class is rarer; a point is 16 numbers of 0 or more."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(8, 16, generator=torch.Generator().manual_seed(99)) + 3
    labels = torch.arange(count) % 8
    labels[labels == 7] *= torch.arange(count)[labels == 7] % 3 == 0
    features = (centres[labels] + 1.5 * torch.randn(count, 16, generator=random)).clamp(min=0)
    rows = torch.arange(count)[rank::size]
    return Features(features=features[rows], rows=rows, labels=labels, photos=(), fingerprint="")


TRAIN, VALIDATION = clouds(1200, 1), clouds(400, 2)


def fresh(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return build_head(16, (), 0.0, 8)
