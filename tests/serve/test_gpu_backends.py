"""The backends for a GPU, with the processor in its place: their order, their precision, and their messages."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from classifier import backends
from classifier.backbones import build_backbone
from classifier.backends import BACKENDS, Backend, eager
from classifier.backends.gpu import SIZES, open_gpu, padded, warm
from classifier.fold import folded
from classifier.models import Classifier
from serve import prepare
from tests.conftest import LITE

CROP = 64
OPEN_TORCH = eager.open_torch  # kept, because tests replace it
STAND_IN = {
    precision: Backend(name="a stand-in", library="torch", device="cpu", precision=precision)
    for precision in ("bf16", "fp32")
}
PIXELS = np.random.default_rng(0).integers(0, 256, (5, CROP, CROP, 3), np.uint8)


def chosen_in(folder: Path) -> str:
    """Return the name of the backend that a preparation chose."""
    return str(json.loads((folder / "prepared.json").read_text())["backend"])


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    backbone, features, preprocessing = build_backbone(LITE)
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    return Classifier(backbone, nn.Linear(features, 3), preprocessing, 1.0).eval()


def test_weights_are_cast_once_and_normalisation_is_folded_with_the_answers_of_autocast(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = copy.deepcopy(classifier)
    expected.backbone = folded(expected.backbone, CROP)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = expected(torch.from_numpy(padded(PIXELS)))[: len(PIXELS)].float().numpy()
    forward = open_gpu(classifier, STAND_IN["bf16"], CROP)
    convolve, dtypes, normalised = nn.functional.conv2d, [], []

    def convolved(images: Tensor, weight: Tensor, *arguments: Any, **options: Any) -> Tensor:
        dtypes.append(weight.dtype)
        return convolve(images, weight, *arguments, **options)

    monkeypatch.setattr(nn.functional, "conv2d", convolved)
    monkeypatch.setattr(nn.functional, "batch_norm", lambda *_, **__: normalised.append(True))
    assert np.array_equal(forward(PIXELS), logits)
    assert len(dtypes) > 40 and set(dtypes) == {torch.bfloat16} and not normalised


def test_the_model_itself_stays_as_it_is_for_the_backends_after(classifier: Classifier) -> None:
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    open_gpu(classifier, STAND_IN["bf16"], CROP)
    after = classifier.state_dict()
    assert before.keys() == after.keys()
    assert not [
        name for name in before if after[name].dtype != before[name].dtype or not after[name].equal(before[name])
    ]


def test_every_pass_has_one_of_the_sizes_that_are_warm(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = eager.open_torch(classifier, BACKENDS["torch"], CROP)(PIXELS)
    passes: list[int] = []
    forward = Classifier.forward

    def counted(self: Classifier, pixels: Tensor) -> Tensor:
        passes.append(len(pixels))
        return forward(self, pixels)

    monkeypatch.setattr(Classifier, "forward", counted)
    ours = open_gpu(classifier, STAND_IN["fp32"], CROP)
    np.testing.assert_allclose(ours(PIXELS), expected, atol=1e-4)
    assert ours(np.repeat(PIXELS, 7, axis=0)).shape == (35, 3)
    assert passes == [8, 32, 4]
    passes.clear()
    warm(ours, CROP)
    assert passes == list(SIZES)


@pytest.mark.parametrize(("photos", "size"), [(1, 1), (2, 2), (3, 4), (16, 16), (17, 32), (32, 32)])
def test_a_batch_is_padded_to_the_next_size(photos: int, size: int) -> None:
    some = np.ones((photos, 2, 2, 3), np.uint8)
    assert padded(some).shape == (size, 2, 2, 3) and padded(some).sum() == some.sum()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch report a GPU that supports bfloat16."""
    monkeypatch.setattr(backends, "_has_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA L4")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 9))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])


def off_in(*precisions: str) -> Any:
    """Return an open_torch that computes on the processor, and whose results "on a GPU" are wrong in some precisions."""

    def opened(model: Classifier, backend: Backend, crop: int) -> Any:
        forward = OPEN_TORCH(model, BACKENDS["torch"], crop)
        wrong = backend.device == "cuda" and backend.precision in precisions
        return lambda pixels: forward(pixels) * (-1 if wrong else 1)

    return opened


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("wrong", "chosen"),
    [((), "torch-cuda"), (("bf16",), "torch-cuda-fp16"), (("bf16", "fp16"), "torch-cuda-fp32")],
)
def test_a_model_that_a_precision_is_not_true_to_is_served_by_the_gpu_in_the_next_one(
    plain_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: tuple[str, ...],
    chosen: str,
) -> None:
    monkeypatch.setattr(eager, "open_torch", off_in(*wrong))
    assert prepare.main(["--model-dir", str(plain_model), "--out", str(tmp_path)]) == 0
    assert chosen_in(tmp_path) == chosen
    assert "NVIDIA L4" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.usefixtures("gpu")
def test_where_the_processor_serves_the_line_about_the_device_names_no_gpu(
    plain_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(eager, "open_torch", off_in("bf16", "fp16", "fp32"))
    assert prepare.main(["--model-dir", str(plain_model), "--out", str(tmp_path)]) == 0
    assert BACKENDS[chosen_in(tmp_path)].device == "cpu"
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("torch-cuda is not used: ")
    assert said[-1].startswith("device: cpu, ") and "NVIDIA" not in said[-1]


def test_the_backends_on_a_gpu_come_before_all_on_the_processor() -> None:
    devices = [backend.device for backend in BACKENDS.values()]
    assert devices == sorted(devices, reverse=True) and devices.count("cuda") == 3
