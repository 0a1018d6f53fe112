"""A backbone with folded batch normalisation gives the same features; one that cannot be folded stays as it is."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from classifier.backbones import build_backbone
from classifier.fold import folded
from classifier.models import Classifier
from classifier.photos import load_photo_set
from tests.conftest import LITE
from train.features import FeaturePass


def norms(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


def trained(module: nn.Module) -> nn.Module:
    """Give the normalisation layers random statistics and weights: those of a new model change nothing."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.randn(layer.num_features) / 10
            layer.running_var = torch.rand(layer.num_features) + 0.5
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.1)
    return module.eval()


@pytest.mark.parametrize(
    ("name", "left"),
    [(LITE, 0), ("inception_v3", 0), ("densenet121", 62), ("timm/repvgg_a0", 17)],
)
def test_folded_backbones_give_the_same_features(name: str, left: int) -> None:
    backbone, _, preprocessing = build_backbone(name)
    trained(backbone)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    seed, threads = torch.random.get_rng_state(), torch.get_num_threads()
    copied = folded(backbone, preprocessing.crop)
    assert copied is not backbone and norms(copied) == left
    assert torch.equal(torch.random.get_rng_state(), seed) and torch.get_num_threads() == threads
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())
    images = torch.randn(2, 3, preprocessing.crop, preprocessing.crop)
    with torch.inference_mode():
        expected = backbone(images)
        # Random weights in many layers make some backbones' features large, and rounding errors with them.
        torch.testing.assert_close(copied(images), expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


class Residual(nn.Module):
    """A convolution whose output goes to a normalisation and to another layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        raw = self.convolution(images)
        return (raw + self.norm(raw)).mean((2, 3))


class Shared(Residual):
    """A convolution that runs twice, once without normalisation."""

    def forward(self, images: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.convolution(images))
        return self.convolution(normed).mean((2, 3))


class Refusing(Residual):
    """A normalisation without running statistics, which cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)


@pytest.mark.parametrize("backbone", [Residual(), Shared(), nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten())])
def test_a_backbone_in_which_folding_would_change_something_stays_as_it_is(backbone: nn.Module) -> None:
    copied = folded(trained(backbone), 32)
    images = torch.randn(2, 3, 32, 32)
    assert norms(copied) == norms(backbone)
    with torch.inference_mode():
        assert torch.equal(copied(images), backbone(images))


def test_a_normalisation_that_cannot_be_folded_stays() -> None:
    backbone = Refusing().eval()
    assert folded(backbone, 32) is backbone


def test_the_pass_gives_the_same_features_folded(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, _, preprocessing = build_backbone(LITE)
    model = Classifier(trained(backbone), nn.Linear(1280, 2), preprocessing, 1.0).eval()
    photos = load_photo_set({"training": tiny}, validation_share=0.1, seed=0)

    def features() -> Tensor:
        splits, _ = FeaturePass(model=model, precision="fp32").extract(photos)
        return splits["train"].features

    normalised: list[None] = []
    batch_norm = nn.functional.batch_norm

    def counted(*arguments: object, **options: object) -> Tensor:
        normalised.append(None)
        return batch_norm(*arguments, **options)

    monkeypatch.setattr(nn.functional, "batch_norm", counted)
    expected = features()
    plain = len(normalised)
    monkeypatch.setattr("train.features.extract.FOLDED_FROM", 0)
    torch.testing.assert_close(features(), expected, atol=1e-4, rtol=1e-4)
    # Folding runs the normalisation on the probe twice; the pass over the photos then does not run it at all.
    assert plain >= 49 and len(normalised) == plain + 2 * 49
    assert norms(model) == 49


class Asking(nn.Sequential):
    """A backbone that records whether a GPU would compute convolutions in TF32, whose rounding exceeds the tolerance."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.Flatten())
        self.tf32: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.tf32.append(torch.backends.cudnn.allow_tf32)
        features: Tensor = super().forward(images)
        return features


def test_features_are_compared_without_the_rounding_of_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    backbone = Asking()
    tf32: list[bool] = []
    backbone.tf32 = tf32
    copied = folded(trained(backbone), 32)
    assert torch.backends.cudnn.allow_tf32 and isinstance(copied, Asking)
    assert copied.tf32[:3] == [False] * 3 and not tf32
