"""The guard on trained models: bfloat16 serves, and a backend that computes something else is refused each time."""

import copy
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from classifier import artifact
from classifier.backends import BACKENDS, eager
from classifier.guard_photos import GUARD, read_guard
from classifier.models import Classifier
from classifier.selftest import read_selftest
from serve.predictor import Predictor
from serve.prepare import _compare, _Unlike, prepare
from tests.bf16 import BF16
from tests.conftest import TRAINED_WITH, run_training

Corrupt = Callable[[Classifier], None]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute each photo on one thread, as a worker does: several threads take much longer on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def three_classes(samples: Path, feature_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three classes that it never confuses."""
    folder = tmp_path_factory.mktemp("three")
    for split in ("train", "validation"):
        for label in ("brick", "coffee", "camera"):
            shutil.copytree(samples / split / label, folder / "photos" / split / label)
    run = run_training(folder / "job", {"training": folder / "photos"}, TRAINED_WITH, feature_cache)
    assert run.status == 0, run.errors
    return folder / "job" / "model"


@pytest.fixture(params=["plain_model", "three_classes"])
def trained_model(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def swap_weights(model: Classifier) -> None:
    """Swap the weights of two layers of the same shape."""
    layers = [layer for layer in model.backbone.modules() if isinstance(layer, nn.Conv2d)]
    one, other = next((a, b) for a in layers for b in layers if a is not b and a.weight.shape == b.weight.shape)
    one.weight.data, other.weight.data = other.weight.data, one.weight.data


def leave_out_a_block(model: Classifier) -> None:
    setattr(model.backbone.get_submodule("blocks.3"), "1", nn.Identity())


def take_another_mean(model: Classifier) -> None:
    """Subtract the mean of other weights: (0.485, 0.456, 0.406) and 0.229 ... instead of 0.5."""
    model.mean = 255 * torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    model.scale = 255 * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def take_another_scale(model: Classifier) -> None:
    model.scale = model.scale * 2


def swap_red_and_blue(model: Classifier) -> None:
    weight = model.backbone.get_parameter("conv_stem.weight")
    weight.data = weight.data.flip(1)


def shift_the_classes(model: Classifier) -> None:
    for parameter in model.head.parameters():
        parameter.data = parameter.data.roll(1, 0)


def compared(folder: Path, corrupt: Corrupt, backend: str = "torch") -> str:
    """Compare a corrupted model with the artifact's; return why it is refused, empty if it is not."""
    model, spec = artifact.load(folder)
    corrupted = copy.deepcopy(model)
    corrupt(corrupted)
    crop = spec.preprocessing.crop
    forward = eager.open_torch(corrupted, BACKENDS[backend], crop)
    try:
        _compare(forward, read_selftest(folder), read_guard(folder, len(spec.classes)), crop, named=False)
    except _Unlike as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "corrupt",
    [swap_weights, leave_out_a_block, take_another_mean, take_another_scale, swap_red_and_blue, shift_the_classes],
)
def test_a_corrupted_backend_is_refused(trained_model: Path, corrupt: Corrupt) -> None:
    assert re.search(
        r"logits are [\d.]+% off|best classes of which the trained model was sure", compared(trained_model, corrupt)
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", pytest.param("torch-bf16", marks=BF16)])
def test_the_model_itself_is_as_good_at_float32_and_at_bfloat16(trained_model: Path, backend: str) -> None:
    assert compared(trained_model, lambda model: None, backend) == ""


@BF16
def test_the_log_says_what_serves_and_what_training_measured(
    plain_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(plain_model, tmp_path, "auto").name == "openvino-bf16"
    assert re.search(
        r"^openvino-bf16 is used: on \d+ validation photos it is right about \d+ and the trained model about \d+, its "
        r"log-likelihood changes by [-+][\d.]+; training measured accuracy [\d.]+ on 126 photos, with torch on cpu at fp32$",
        capsys.readouterr().out,
        re.MULTILINE,
    )
    verdict = json.loads((tmp_path / "prepared.json").read_text())["verdict"]
    assert 0 < verdict["noise"] <= verdict["most_noise"] and verdict["decided_changes"] == 0
    Predictor(tmp_path, threads=1)  # the self-test passes: a worker gives the answers that the guard judged


def test_exact_takes_the_fastest_backend_at_float32(plain_model: Path, tmp_path: Path) -> None:
    chosen = prepare(plain_model, tmp_path, "exact")
    assert chosen.precision == "fp32"
    assert json.loads((tmp_path / "prepared.json").read_text())["difference"]["largest"] < 1e-4


def test_a_named_backend_that_the_guard_refuses_serves_with_a_warning_that_says_the_difference(
    plain_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = eager.open_torch

    def noisy(model: Classifier, backend: object, crop: int) -> object:
        forward = original(model, BACKENDS["torch"], crop)

        def off(pixels: np.ndarray) -> np.ndarray:
            logits = forward(pixels)
            return logits + 0.5 * np.sign(np.sin(1000 * logits))  # noise that is deterministic for a photo

        return off

    monkeypatch.setattr(eager, "open_torch", noisy)
    prepare(plain_model, tmp_path, "torch")
    assert re.search(
        r"torch is used: warning, the guard refuses it, but it was named: on \d+ validation photos .*its logits are "
        r"[\d.]+% off and [\d.]+% is allowed, as much as rounding explains",
        capsys.readouterr().out,
    )


def test_training_keeps_validation_photos_with_the_trained_models_answers(plain_model: Path) -> None:
    contents = artifact.check(plain_model)
    guard = read_guard(plain_model, len(contents.spec.classes))
    assert contents.measured is not None
    assert (contents.measured.photos, contents.measured.precision) == (len(guard.labels), "fp32") == (126, "fp32")
    assert set(guard.labels) == set(range(14)) and (plain_model / GUARD).stat().st_size < 12_000_000
    model, spec = artifact.load(plain_model)
    pixels = torch.from_numpy(guard.pixels(spec.preprocessing.crop, 0, 3))
    with torch.inference_mode():
        np.testing.assert_allclose(model(pixels).numpy(), guard.logits[:3], atol=1e-3)
    # The guard's photos come from the validation split, so the accuracy on them is the one that training measured.
    assert (guard.logits.argmax(axis=1) == guard.labels).mean() == pytest.approx(contents.measured.accuracy, abs=0.02)
    assert dataclasses.asdict(contents.measured)["library"] == "torch"
