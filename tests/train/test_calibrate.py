"""Calibrated probabilities: the expected calibration error, the temperature, and the artifact that holds it."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from classifier import artifact
from classifier.selftest import probabilities, run_selftest
from tests.conftest import Run, run_training
from train.calibrate import FEWEST, HIGHEST, LOWEST, fit_temperature
from train.evaluation import calibration_error, judge


def sampled(count: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits of five classes and labels drawn from their softmax: a perfectly calibrated model."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 5, generator=random)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]


def two_classes(confidences: list[float]) -> Tensor:
    """Return logits of two classes that predict class 0 with these probabilities."""
    return torch.tensor([[math.log(p), math.log(1 - p)] for p in confidences])


def test_the_calibration_error_is_the_one_computed_by_hand() -> None:
    # Bins of 1/15: 0.62 and 0.65 lie in (9/15, 10/15], 0.9 in (13/15, 14/15].
    logits, labels = two_classes([0.62, 0.65, 0.9, 0.9]), torch.tensor([0, 1, 0, 0])
    by_hand = 2 / 4 * abs(1 / 2 - (0.62 + 0.65) / 2) + 2 / 4 * abs(1 - 0.9)
    assert calibration_error(logits, labels) == pytest.approx(by_hand, abs=1e-6)
    assert judge(logits, labels).metrics()["ece"] == pytest.approx(by_hand, abs=1e-6)


def test_the_calibration_error_of_a_perfectly_calibrated_model_is_zero() -> None:
    labels = torch.tensor([0, 0, 0, 1, 0, 0, 0, 0, 1])
    assert calibration_error(two_classes([0.75] * 4 + [0.8] * 5), labels) == pytest.approx(0, abs=1e-6)
    logits, labels = sampled(50_000)
    assert calibration_error(logits, labels) < 0.01


def test_certain_and_right_is_no_calibration_error_and_certain_and_wrong_is_all_of_it() -> None:
    logits = torch.tensor([[200.0, 0.0], [200.0, 0.0]])
    assert calibration_error(logits, torch.tensor([0, 0])) == 0
    assert calibration_error(logits, torch.tensor([1, 1])) == 1


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0, 15.0])
def test_the_temperature_undoes_a_known_scaling_of_a_calibrated_models_logits(scale: float) -> None:
    logits, labels = sampled(20_000)
    temperature, sentence = fit_temperature(scale * logits, labels)
    assert temperature == pytest.approx(scale, rel=0.05)
    assert "fitted on 20000 validation photos" in sentence
    assert calibration_error(scale * logits / temperature, labels) < 0.01


def test_the_temperature_is_where_cross_entropy_is_lowest() -> None:
    logits, labels = sampled(300)
    best, _ = fit_temperature(4 * logits, labels)
    at = {t: float(functional.cross_entropy(4 * logits.double() / t, labels)) for t in (0.99 * best, best, 1.01 * best)}
    assert min(at, key=lambda t: at[t]) == best


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 1e2, 1e4])
@pytest.mark.parametrize("count", [20, 40, 2000])
def test_the_temperature_keeps_its_bounds_and_never_makes_cross_entropy_worse(scale: float, count: int) -> None:
    logits, labels = sampled(count, seed=count)
    temperature, _ = fit_temperature(scale * logits, labels)
    assert LOWEST <= temperature <= HIGHEST
    before, after = (functional.cross_entropy(scale * logits.double() / t, labels) for t in (1, temperature))
    assert after <= before
    if scale in (1e-4, 1e4):
        assert temperature == pytest.approx(LOWEST if scale < 1 else HIGHEST)


def test_labels_that_have_nothing_to_do_with_the_logits_end_at_the_upper_bound() -> None:
    logits, labels = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0)), torch.arange(2000) % 5
    assert fit_temperature(10 * logits, labels)[0] == pytest.approx(HIGHEST, rel=0.01)


@pytest.mark.parametrize("margin", [0.5, 5.0, 500.0])
def test_validation_without_a_mistake_leaves_the_temperature_at_one(margin: float) -> None:
    labels = torch.arange(50) % 5
    temperature, sentence = fit_temperature(margin * functional.one_hot(labels).float(), labels)
    assert temperature == 1 and "all 50 validation photos are predicted rightly" in sentence


def test_equal_logits_leave_the_temperature_at_one() -> None:
    assert fit_temperature(torch.zeros(50, 5), torch.arange(50) % 5)[0] == 1


def test_too_few_validation_photos_leave_the_temperature_at_one() -> None:
    logits, labels = sampled(FEWEST)
    assert fit_temperature(3 * logits, labels)[0] != 1
    temperature, sentence = fit_temperature(3 * logits[1:], labels[1:])
    assert temperature == 1 and sentence.startswith("temperature 1: 19 validation photos are too few")


def test_a_tiny_validation_set_trains_and_says_why_nothing_is_calibrated(tiny: Path, tmp_path: Path) -> None:
    run = run_training(tmp_path / "opt-ml", {"training": tiny}, {})
    assert run.status == 0, run.errors
    assert run.output.count("temperature 1: 4 validation photos are too few to fit it") == 1
    result = run.record("result", split="validation")
    assert result["temperature"] == 1 and result["ece"] == pytest.approx(result["ece_uncalibrated"], abs=1e-6)


@pytest.fixture(scope="module")
def mistaken(samples: Path, feature_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model after so little training that it is often wrong and never sure; its temperature differs from 1."""
    base = tmp_path_factory.mktemp("mistaken")
    hyperparameters = {"precision": "fp32", "lr": "0.001", "epochs": "1"}
    run = run_training(base, {"training": samples}, hyperparameters, feature_cache)
    assert run.status == 0, run.errors
    return run


def test_the_temperature_is_in_the_artifact_and_lowers_the_calibration_error(mistaken: Run) -> None:
    spec = artifact.check(mistaken.base / "model").spec
    validation, test = (mistaken.record("result", split=split) for split in ("validation", "test"))
    assert spec.temperature == validation["temperature"] == test["temperature"] != 1
    assert LOWEST <= spec.temperature <= HIGHEST and f"temperature {spec.temperature:.4g}, fitted" in mistaken.output
    assert validation["ece"] < validation["ece_uncalibrated"] and test["ece"] < test["ece_uncalibrated"]
    assert validation["loss"] < mistaken.record("epoch", epoch=1)["validation_loss"]
    stored = json.loads((mistaken.base / "model/model.json").read_text())["training"]["metrics"]
    assert stored["test"]["ece"] == test["ece"] and stored["test"]["loss"] == test["loss"]


def test_a_loaded_model_gives_the_softmax_of_its_logits_over_the_temperature(mistaken: Run) -> None:
    folder = mistaken.base / "model"
    model, spec = artifact.load(folder)
    assert run_selftest(folder, model) < 1e-4
    pixels = torch.zeros(2, 224, 224, 3, dtype=torch.uint8)
    with torch.inference_mode():
        logits = model.head(model.features(pixels))
    torch.testing.assert_close(probabilities(model, pixels), (logits / spec.temperature).softmax(1))
