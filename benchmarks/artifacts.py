"""Makes artifacts for the serving benchmarks: any backbone with random weights, and a head of 1,000 classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from classifier import artifact
from classifier.backbones import build_backbone
from classifier.images import load_pixels, read_photo
from classifier.models import Classifier, build
from classifier.spec import ModelSpec

SELFTEST_PHOTOS = 16  # training keeps as many photos for the self-test


def random_weights(folder: Path, backbone: str, photos: Sequence[Path]) -> None:
    """Write an artifact with random weights, to measure its speed. The scale of the weights keeps the variance equal in all layers."""
    torch.manual_seed(0)
    model, spec = untrained(backbone, tuple(f"class {number}" for number in range(1000)))
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    # Scale the logits so that rounding does not change the best class, and changes probabilities only slightly.
    with torch.inference_mode():
        scale = model(selftest(spec, photos[:1])).std()
        for parameter in model.head.parameters():
            parameter.div_(scale)
    artifact.save(folder, model, spec, selftest(spec, photos), {}, artifact.Extras())


def untrained(backbone: str, classes: tuple[str, ...]) -> tuple[Classifier, ModelSpec]:
    """Return an untrained model with one linear layer as its head, and the spec of the model."""
    _, width, preprocessing = build_backbone(backbone)
    spec = ModelSpec(
        backbone=backbone,
        features=width,
        head_hidden=(),
        head_dropout=0.0,
        classes=classes,
        preprocessing=preprocessing,
    )
    return build(spec), spec


def selftest(spec: ModelSpec, photos: Sequence[Path]) -> torch.Tensor:
    """Return the pixels of SELFTEST_PHOTOS photos, spread over the list."""
    chosen = photos[:: max(1, len(photos) // SELFTEST_PHOTOS)][:SELFTEST_PHOTOS]
    return torch.from_numpy(np.stack([load_pixels(read_photo(photo), spec.preprocessing) for photo in chosen]))
