"""A backbone's preprocessing is the one that its own library uses."""

import pytest
import timm
import timm.data
import torch
import torchvision.transforms.v2.functional as functional
from torch import nn
from torchvision import models

from classifier.backbones import build_backbone
from classifier.models import Classifier
from classifier.spec import Preprocessing

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def preprocessing_of(name: str) -> Preprocessing:
    with torch.device("meta"):
        return build_backbone(name)[2]


@pytest.mark.parametrize(
    ("name", "interpolation", "statistics", "resize", "crop"),
    [
        ("tf_efficientnet_lite0", "bicubic", HALF, 256, 224),
        ("resnet18", "bicubic", IMAGENET, 235, 224),
        ("resnet18.tv_in1k", "bilinear", IMAGENET, 256, 224),
        ("test_resnet", "bilinear", HALF, 168, 160),
        ("xcit_nano_12_p8_224", "bicubic", IMAGENET, 224, 224),
    ],
)
def test_a_timm_backbone_brings_timms_own_preprocessing(
    name: str, interpolation: str, statistics: tuple[tuple[float, ...], ...], resize: int, crop: int
) -> None:
    ours = preprocessing_of(f"timm/{name}")
    assert (ours.interpolation, (ours.mean, ours.std), ours.resize, ours.crop) == (
        interpolation,
        statistics,
        resize,
        crop,
    )
    with torch.device("meta"):
        config = timm.data.resolve_model_data_config(timm.create_model(name))
    shrink, cut, _, normalise = timm.data.create_transform(**config, is_training=False).transforms
    assert (shrink.interpolation.value, shrink.size, cut.size) == (interpolation, resize, (crop, crop))
    torch.testing.assert_close((normalise.mean, normalise.std), tuple(map(torch.tensor, statistics)))


@pytest.mark.parametrize(
    ("name", "interpolation", "resize", "crop"),
    [
        ("resnet50", "bilinear", 232, 224),
        ("efficientnet_b0", "bicubic", 256, 224),
        ("efficientnet_b1", "bilinear", 255, 240),
        ("swin_t", "bicubic", 232, 224),
    ],
)
def test_a_torchvision_backbone_brings_torchvisions_own_preprocessing(
    name: str, interpolation: str, resize: int, crop: int
) -> None:
    ours, theirs = preprocessing_of(name), models.get_model_weights(name).DEFAULT.transforms()
    assert (ours.interpolation, ours.resize, ours.crop) == (interpolation, resize, crop)
    assert (ours.mean, ours.std) == IMAGENET
    assert (theirs.interpolation.value, theirs.resize_size, theirs.crop_size) == (interpolation, [resize], [crop])
    assert (theirs.mean, theirs.std) == tuple(map(list, IMAGENET))


def test_the_pixels_are_normalised_as_torchvision_does_it_and_logits_divided_by_the_temperature() -> None:
    mean, std = IMAGENET
    preprocessing = Preprocessing(resize=8, crop=8, interpolation="bicubic", mean=mean, std=std)
    pixels = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model = Classifier(nn.Flatten(), nn.Identity(), preprocessing, 4.0)
    normal = functional.normalize(pixels.permute(0, 3, 1, 2) / 255, list(mean), list(std)).flatten(1)
    torch.testing.assert_close(model.features(pixels), normal)
    torch.testing.assert_close(model(pixels), normal / 4)
