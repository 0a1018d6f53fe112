"""The feature pass on OpenVINO: the features equal torch's, and torch computes them where OpenVINO cannot."""

import copy
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from classifier.backbones import build_backbone
from classifier.backends import BACKENDS, Forward, Logits, Unavailable, check, ir, named
from classifier.images import Pixels
from classifier.models import Classifier
from classifier.photos import Photo, PhotoSet, load_photo_set
from tests.conftest import LITE, needs_openvino
from tests.small_job import job
from train import stop
from train.features import FeaturePass, Features
from train.features.backend import Choice
from train.features.cache import FeatureCache
from train.pretrained import load_pretrained

SMALL = "timm/test_efficientnet"


def bf16() -> bool:
    try:
        check(BACKENDS["openvino-bf16"])
    except Unavailable:
        return False
    return True


PRECISIONS = [
    pytest.param("fp32", marks=needs_openvino),
    pytest.param("bf16", marks=pytest.mark.skipif(not bf16(), reason="needs openvino and a processor with bfloat16")),
]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose OpenVINO always: even for few photos, and even if it is slow on a busy machine."""
    monkeypatch.setattr("train.features.backend.CONVERTED_FROM", 0)
    monkeypatch.setattr("train.features.backend.GAIN", 0)


def classifier(name: str = SMALL) -> Classifier:
    torch.manual_seed(0)
    backbone, _, preprocessing = build_backbone(name)
    if name == LITE:
        load_pretrained(backbone, name, None)
    return Classifier(backbone, nn.Identity(), preprocessing, 1.0).eval()


def photos_of(folder: Path) -> PhotoSet:
    return PhotoSet((), load_photo_set({"training": folder}, validation_share=0.1, seed=0).splits)


def features(feature_pass: FeaturePass, photos: PhotoSet, **options: Any) -> dict[str, Features]:
    return feature_pass.extract(photos, max_unreadable=50, **options)[0]


def distance(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1)).mean())


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_photos_and_views_have_the_same_features_on_openvino_and_on_torch(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr("train.features.extract.FOLDED_FROM", 0)  # a pass large enough for OpenVINO folds too
    (tiny / "train" / "brick" / "000.jpg").write_bytes(b"no photo")
    photos, model = photos_of(tiny), classifier(LITE)
    on_torch = FeaturePass(model=model, precision=precision)
    chosen = on_torch.choose(photos, views=1)
    assert chosen.forward is not None and chosen.backend.library == "openvino" and chosen.probe, chosen
    assert str(chosen).startswith(f"features by openvino{'-bf16' * (precision == 'bf16')}, as on 7 photos it is ")
    found = features(replace(on_torch, forward=chosen.forward), photos, views=1)
    exact = features(FeaturePass(model=model, precision="fp32"), photos, views=1)
    own = features(on_torch, photos, views=1)
    for split, expected in exact.items():
        off = distance(found[split].features, expected.features)
        assert off <= (1e-5 if precision == "fp32" else 1.5 * distance(own[split].features, expected.features))
        assert found[split].photos == expected.photos


@needs_openvino
@pytest.mark.usefixtures("always")
def test_both_libraries_share_what_is_kept_of_one_precision_and_no_precision_finds_another_ones(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, on_torch, cache = photos_of(tiny), FeaturePass(model=classifier(), precision="fp32"), tmp_path / "cache"
    opened = replace(on_torch, forward=on_torch.choose(photos).forward)
    assert opened.forward is not None
    first = features(opened, photos, cache=cache)
    second = features(on_torch, photos, cache=cache)
    assert torch.equal(first["train"].features, second["train"].features)
    features(replace(on_torch, precision="bf16"), photos, cache=cache)
    kept = [len(FeatureCache(cache, folder.name)) for folder in cache.iterdir()]
    assert kept == [16, 16]
    # If the cache has nearly all features, the model is not converted.
    monkeypatch.setattr("train.features.backend.CONVERTED_FROM", 1)
    assert on_torch.choose(photos, cache=cache).reason.startswith("0 photos to compute are too few")


def test_few_photos_stay_on_torch_and_none_is_opened_to_decide_that() -> None:
    photos = PhotoSet((), {"train": tuple(Photo(Path(f"/absent/{n}.jpg"), 0) for n in range(499))})
    chosen = FeaturePass(model=classifier(), precision="fp32").choose(photos, views=1)
    assert chosen.forward is None and str(chosen) == (
        "features by torch, as 998 photos to compute are too few to convert the model for OpenVINO (at least 1000)"
    )


def on_torch_because(tiny: Path, model: Classifier) -> str:
    """Return why a pass over these photos stays on torch, at float32."""
    chosen: Choice = FeaturePass(model=model, precision="fp32").choose(photos_of(tiny))
    assert chosen.forward is None and chosen.backend == BACKENDS["torch"]
    return chosen.reason


@pytest.mark.usefixtures("always")
def test_where_openvino_is_missing_torch_computes(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert on_torch_because(tiny, classifier()).startswith("openvino cannot be imported (import of openvino halted")


class Bessel(nn.Module):
    """An activation that torch supports and OpenVINO does not."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.special.bessel_j1(images)


class Gate(nn.Module):
    """Control flow that depends on the photos; a trace records one branch only."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.inner(images)
        return found if images.mean() > images.new_tensor(-1.9) else -found


@needs_openvino
@pytest.mark.usefixtures("always")
def test_a_backbone_that_openvino_cannot_convert_stays_on_torch(tiny: Path) -> None:
    model = classifier()
    model.backbone.bn1 = nn.Sequential(model.backbone.bn1, Bessel())
    assert on_torch_because(tiny, model).startswith("OpenVINO cannot compute this model (")


@needs_openvino
@pytest.mark.usefixtures("always")
def test_a_backbone_whose_path_depends_on_the_photo_stays_on_torch(tiny: Path) -> None:
    model = classifier()
    model.backbone.conv_stem = Gate(model.backbone.conv_stem)
    assert on_torch_because(tiny, model).startswith("OpenVINO's features are ")


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_conversion_with_other_weights_is_refused(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    model, convert = classifier(LITE), ir.from_torch

    def damaged(right: Classifier, crop: int) -> Any:
        wrong = copy.deepcopy(right)
        weights = next(one for one in wrong.backbone.parameters() if one.ndim == 4)
        weights.data = weights.data.flip(0)
        return convert(wrong, crop)

    monkeypatch.setattr(ir, "from_torch", damaged)
    chosen = FeaturePass(model=model, precision=precision).choose(photos_of(tiny))
    assert chosen.forward is None and chosen.reason.startswith("OpenVINO's features are "), chosen


@needs_openvino
@pytest.mark.usefixtures("always")
def test_where_openvino_is_slower_torch_computes(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Callable[..., Forward] = ir.open_lanes

    def slow(*arguments: Any) -> Forward:
        forward = opened(*arguments)

        def twentyfold(pixels: Pixels) -> Logits:
            return [forward(pixels) for _ in range(20)][-1]

        return twentyfold

    monkeypatch.setattr("train.features.backend.GAIN", 1)
    monkeypatch.setattr(ir, "open_lanes", slow)
    assert on_torch_because(tiny, classifier()).startswith("on 8 photos OpenVINO is only 0.")


@needs_openvino
@pytest.mark.usefixtures("always")
def test_each_lane_computes_its_own_photos(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.features.extract.local_threads", lambda: 4)
    photos = PhotoSet((), {"train": photos_of(tiny).splits["train"] * 8})
    on_torch = FeaturePass(model=classifier(), precision="fp32")
    found = features(replace(on_torch, forward=on_torch.choose(photos).forward), photos)["train"].features
    torch.testing.assert_close(found, features(on_torch, photos)["train"].features, atol=1e-4, rtol=1e-4)


@needs_openvino
@pytest.mark.usefixtures("always")
def test_a_stopped_pass_on_openvino_keeps_what_was_computed(tiny: Path, tmp_path: Path) -> None:
    photos, on_torch = photos_of(tiny), FeaturePass(model=classifier(), precision="fp32")
    forward = on_torch.choose(photos).forward
    assert forward is not None

    def stopping(pixels: Pixels) -> Logits:
        stop.requested.set()
        return forward(pixels)

    try:
        with pytest.raises(stop.Stopped, match=r"stopped by SIGTERM after \d+ of 16 photos"):
            features(replace(on_torch, forward=stopping), photos, cache=tmp_path / "cache")
    finally:
        stop.requested.clear()
    (folder,) = (tmp_path / "cache").iterdir()
    assert len(FeatureCache(tmp_path / "cache", folder.name)) >= 4


@needs_openvino
@pytest.mark.usefixtures("always")
def test_a_job_says_and_records_which_backend_computed_its_features(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, records = job(tmp_path, tiny)
    (record,) = [one for one in records if one["kind"] == "backend"]
    assert f"features by {record['backend']}, as {record['reason']}\n" in capsys.readouterr().out
    assert record["stage"] == "features" and record["probe"]["photos"] == 8
    measured = json.loads((tmp_path / "model" / "model.json").read_text())["measured"]
    assert named(measured["library"], measured["device"], measured["precision"]).name == record["backend"]


@pytest.mark.slow
@needs_openvino
@pytest.mark.usefixtures("always")
def test_a_fine_tuned_model_was_measured_on_torch(tiny: Path, tmp_path: Path) -> None:
    _, records = job(tmp_path, tiny, **{"finetune-epochs": "2", "finetune-lr": "0.01"})
    assert [one["backend"] for one in records if one["kind"] == "backend"] == ["openvino"]
    document = json.loads((tmp_path / "model" / "model.json").read_text())
    assert (document["training"]["stage"], document["measured"]["library"]) == ("finetune", "torch")
