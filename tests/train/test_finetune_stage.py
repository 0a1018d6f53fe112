"""The stage that fine-tunes: each of its settings has an effect, and its worker processes deliver the requested photos."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from classifier.backbones import build_backbone
from classifier.models import Classifier, build_head
from classifier.photos import Photo
from train.config import Config
from train.features import FeaturePass
from train.finetune import finetune_stage
from train.finetune.loading import Photos
from train.loop.stage import Stage


@pytest.fixture(scope="module")
def photos(samples: Path) -> list[Photo]:
    """Eight photos, six of one class and two of the other."""
    files = [sorted((samples / "train" / name).iterdir()) for name in ("brick", "coffee")]
    return [Photo(file, 0) for file in files[0][:6]] + [Photo(file, 1) for file in files[1][:2]]


def stage(photos: list[Photo], precision: str = "fp32", **settings: Any) -> Stage:
    torch.manual_seed(0)
    backbone, features, preprocessing = build_backbone("timm/test_efficientnet")
    model = Classifier(backbone, build_head(features, (), 0.0, 2), preprocessing, 1.0)
    feature_pass = FeaturePass(model=model, precision=precision)
    return finetune_stage(feature_pass, photos, photos[:3], Config(**settings))


def test_each_setting_reaches_the_stage(photos: list[Photo]) -> None:
    settings: dict[str, Any] = {
        "finetune_epochs": 4,
        "finetune_batch_size": 3,
        "label_smoothing": 0.2,
        "early_stopping": 5,
        "auxiliary": 0.6,
        "clip_norm": 0.7,
        "accumulate": 2,
        "class_weights": "balanced",
        "compile": True,
    }
    made = stage(photos, **settings)
    assert (made.name, made.epochs, made.batch_size) == ("finetune", 4, 3)
    assert (made.label_smoothing, made.early_stopping, made.auxiliary) == (0.2, 5, 0.6)
    assert (made.updates.clip_norm, made.accumulate, made.compile) == (0.7, 2, True)
    assert made.class_weights is not None and made.class_weights.tolist() == pytest.approx([8 / 12, 8 / 4])
    assert made.labels.tolist() == [0] * 6 + [1] * 2
    assert made.updates.ema is None and made.mix is None and made.updates.scaler is None


def test_the_rate_of_the_head_is_the_highest_and_falls_to_zero_with_the_last_step(photos: list[Photo]) -> None:
    made = stage(photos, finetune_epochs=4, finetune_batch_size=3, finetune_lr=0.02, warmup=0.25, layer_decay=0.5)
    optimizer, schedule = made.updates.optimizer, made.updates.schedule
    assert schedule is not None
    rates = []
    for _ in range(13):  # 8 photos in batches of 3: 3 steps an epoch
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert [rate[0] for rate in rates[:4]] == pytest.approx([0.005, 0.01, 0.015, 0.02])
    assert rates[11][0] > 1e-5 and rates[12] == pytest.approx([0] * len(rates[12]), abs=1e-9)
    head, *backbone = sorted(set(rates[3]), reverse=True)
    assert backbone[:2] == pytest.approx([head / 2, head / 4]) and len(backbone) == 8


def test_the_average_of_the_weights_moves_by_one_minus_its_decay(photos: list[Photo]) -> None:
    made = stage(photos, ema=0.75)
    updates = made.updates
    assert updates.ema is not None and updates.judged is updates.ema.module
    (name, weight), *_ = made.model.named_parameters()
    start = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1)
    updates.ema.update_parameters(made.model)
    torch.testing.assert_close(dict(updates.judged.named_parameters())[name].detach(), start + 0.25)


def test_its_workers_bring_the_photos_of_each_step_augmented_again_for_each_epoch(photos: list[Photo]) -> None:
    made = stage(photos, seed=3)
    _, _, preprocessing = build_backbone("timm/test_efficientnet")
    expected = Photos(photos=photos, config=Config(seed=3), preprocessing=preprocessing, pack=None)
    steps = [torch.tensor([7, 0, 3]), torch.tensor([5])]
    seen = []
    for epoch in (1, 2):
        with contextlib.closing(made.batches(epoch, steps)) as batches:
            brought = list(batches)
        assert [labels.tolist() for _, labels in brought] == [[1, 0, 0], [0]]
        places = [int(place) for step in steps for place in step]
        pixels = torch.cat([pixels for pixels, _ in brought])
        assert len(pixels) == len(places)
        for place, one in zip(places, pixels, strict=True):
            assert torch.equal(one, torch.from_numpy(expected[epoch, place][0]))
        seen.append(pixels)
    assert not torch.equal(*seen)


def test_it_is_judged_on_the_validation_photos_as_they_are(photos: list[Photo]) -> None:
    made = stage(photos)
    logits, labels = made.predict(made.updates.judged)
    assert labels.tolist() == [0, 0, 0] and logits.shape == (3, 2)
    assert torch.equal(logits, made.predict(made.updates.judged)[0])


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_its_steps_compute_at_the_precision(photos: list[Photo], precision: str, dtype: torch.dtype) -> None:
    with stage(photos, precision).autocast(), torch.inference_mode():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype
