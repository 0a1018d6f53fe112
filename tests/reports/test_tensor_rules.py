"""Rules on gradients, updates, activations and photos, each with records that must trigger it and records that must not."""

from pathlib import Path
from typing import Any

import pytest

from reports.rules.thresholds import OURS, SAGEMAKER, Thresholds
from reports.rules.verdict import Verdict
from tests.reports.made import Record, course, epoch, job, judged, record, verdict, write
from tests.reports.measuring import steps, tensors

BOTH = pytest.mark.parametrize("limits", [OURS, SAGEMAKER], ids=["ours", "sagemaker"])


def said(rule: str, folder: Path, records: list[Record], limits: Thresholds = OURS, **settings: Any) -> Verdict:
    hyperparameters = {"lr": 0.01, "finetune-lr": 0.0001, "finetune-epochs": 2} | settings
    return verdict(rule, write(folder, [job(hyperparameters=hyperparameters), *records]), limits)


@BOTH
def test_a_gradient_that_has_vanished_is_found_by_its_root_mean_square(tmp_path: Path, limits: Thresholds) -> None:
    gone = tensors("gradients", 4, {"stem.weight": {"rms": 1e-9, "std": 1e-9}, "head.weight": {}})
    found = said("VanishingGradient", tmp_path / "gone", gone, limits)
    assert found.state == "triggered" and "stem.weight" in found.sentence and found.loss == 0.5
    assert (
        said("VanishingGradient", tmp_path / "fine", tensors("gradients", 4, {"stem.weight": {}}), limits).state
        == "quiet"
    )


def test_one_small_gradient_of_many_is_enough_for_sagemaker_alone(tmp_path: Path) -> None:
    records = tensors("gradients", 19, {"stem.weight": {}})
    records += tensors("gradients", 1, {"stem.weight": {"rms": 1e-9}}, epoch=2)
    assert said("VanishingGradient", tmp_path / "ours", records).state == "quiet"
    assert said("VanishingGradient", tmp_path / "theirs", records, SAGEMAKER).state == "triggered"


def test_a_gradient_that_is_not_a_number_is_an_exploding_tensor(tmp_path: Path) -> None:
    records = tensors("gradients", 3, {"stem.weight": {"mean": None, "std": None, "rms": None}})
    found = said("ExplodingTensor", tmp_path, records)
    assert found.state == "triggered" and "stem.weight" in found.sentence


@BOTH
def test_a_layer_of_zeros_is_found(tmp_path: Path, limits: Thresholds) -> None:
    zero = tensors("activations", 4, {"act": {"share_zero": 1.0}})
    assert said("AllZero", tmp_path / "zero", zero, limits).state == "triggered"
    half = tensors("activations", 4, {"act": {"share_zero": 0.5}})
    assert said("AllZero", tmp_path / "half", half, limits).state == "quiet"


@BOTH
@pytest.mark.parametrize(
    ("rms", "state", "advice"),
    [(20.0, "triggered", "finetune-lr=1e-05"), (1e-10, "triggered", "finetune-lr=0.001"), (0.001, "quiet", "")],
)
def test_updates_that_are_too_large_or_too_small_for_their_weights_are_found(
    tmp_path: Path, limits: Thresholds, rms: float, state: str, advice: str
) -> None:
    records = tensors("updates", 4, {"stem.weight": {"rms": rms, "weight_rms": 1.0}})
    found = said("WeightUpdateRatio", tmp_path, records, limits)
    assert found.state == state and advice in found.advice


def test_only_sagemakers_rule_reports_weights_that_begin_at_0(tmp_path: Path) -> None:
    records = tensors(
        "updates", 4, {"bias": {"rms": 0.01, "weight_rms": 0.0}, "weight": {"rms": 0.01, "weight_rms": 1.0}}
    )
    assert said("WeightUpdateRatio", tmp_path / "ours", records).state == "quiet"
    assert said("WeightUpdateRatio", tmp_path / "theirs", records, SAGEMAKER).state == "triggered"


STILL = {"min": -1e-8, "max": 5e-8, "weight_rms": 1.0}
MOVING = {"min": -1e-7, "max": 1e-4, "weight_rms": 1.0}


@BOTH
def test_weights_that_stay_the_same_in_three_recorded_steps_are_found(tmp_path: Path, limits: Thresholds) -> None:
    found = said("UnchangedTensor", tmp_path / "still", tensors("updates", 3, {"a": STILL, "b": MOVING}), limits)
    assert found.state == "triggered" and "the first of these layers is a." in found.sentence and found.loss == 0.5
    assert said("UnchangedTensor", tmp_path / "moving", tensors("updates", 3, {"a": MOVING}), limits).state == "quiet"
    few = said("UnchangedTensor", tmp_path / "few", tensors("updates", 2, {"a": STILL}), limits)
    assert (few.state, few.points) == ("not judged", 2)


def test_only_sagemakers_rule_reports_small_steps_of_the_lowest_layers(tmp_path: Path) -> None:
    # The size of Adam's steps on the scales of a normalisation layer: the learning rate of 0.0001 times 0.7 to the eighth power.
    records = tensors("updates", 5, {"stem.bn.weight": {"min": -5.8e-6, "max": 5.8e-6, "weight_rms": 1.0}})
    assert said("UnchangedTensor", tmp_path / "ours", records).state == "quiet"
    assert said("UnchangedTensor", tmp_path / "theirs", records, SAGEMAKER).state == "triggered"


def test_only_sagemakers_rule_reports_a_learning_rate_that_ends_at_0(tmp_path: Path) -> None:
    records = tensors("updates", 10, {"a": MOVING}) + tensors("updates", 3, {"a": STILL}, epoch=2)
    assert said("UnchangedTensor", tmp_path / "ours", records).state == "quiet"
    assert said("UnchangedTensor", tmp_path / "theirs", records, SAGEMAKER).state == "triggered"
    between = [one for epoch in (1, 3) for one in tensors("updates", 2, {"a": STILL}, epoch=epoch)] + tensors(
        "updates", 1, {"a": MOVING}, epoch=2
    )
    assert said("UnchangedTensor", tmp_path / "two", between, SAGEMAKER).state == "quiet"


@BOTH
def test_a_layer_with_mostly_dead_channels_is_found(tmp_path: Path, limits: Thresholds) -> None:
    dead = tensors("activations", 4, {"act": {"share_dead": 0.6}, "other": {"share_dead": 0.1}, "linear": {}})
    found = said("DeadRelu", tmp_path / "dead", dead, limits)
    assert (
        found.state == "triggered"
        and "1 of 2 layers have more than 50 %" in found.sentence
        and "In act, 60 %" in found.sentence
    )
    alive = tensors("activations", 4, {"act": {"share_dead": 0.5}})
    assert said("DeadRelu", tmp_path / "alive", alive, limits).state == "quiet"
    assert said("DeadRelu", tmp_path / "none", tensors("activations", 4, {"linear": {}}), limits).state == "not judged"


def random_start(std: float, p95: float, losses: list[float]) -> list[Record]:
    weights = {"a.weight": {"weight_std": std, "weight_rms": std}, "b.weight": {"weight_std": 0.1, "weight_rms": 0.1}}
    gradients = {"a.weight": {"p5": 0.0, "p95": p95}, "b.weight": {"p5": 0.0, "p95": 0.1}}
    first = epoch(1, 2.0, 2.0, stage="finetune", step_losses=losses)
    return [first, *tensors("updates", 3, weights), *tensors("gradients", 3, gradients)]


FALLING = [2.0 - 0.01 * step for step in range(40)]
FLAT = [2.0 + 0.001 * step for step in range(40)]


@pytest.mark.parametrize(
    ("std", "p95", "losses", "ours", "theirs"),
    [
        (10.0, 1e-5, FLAT, "triggered", "triggered"),
        (10.0, 0.1, FLAT, "quiet", "triggered"),  # only the widths of the layers are unequal
        (0.1, 1e-5, FLAT, "quiet", "triggered"),
        (10.0, 1e-5, FALLING, "quiet", "quiet"),
        (0.1, 0.1, FLAT, "quiet", "quiet"),
    ],
)
def test_random_weights_from_which_nothing_is_learnt_are_found(
    tmp_path: Path, std: float, p95: float, losses: list[float], ours: str, theirs: str
) -> None:
    records = random_start(std, p95, losses)
    for limits, state in ((OURS, ours), (SAGEMAKER, theirs)):
        assert (
            said("PoorWeightInitialization", tmp_path / limits.name, records, limits, weights="random").state == state
        )


def test_pretrained_weights_are_not_judged_as_poor(tmp_path: Path) -> None:
    found = said("PoorWeightInitialization", tmp_path, random_start(10.0, 1e-5, FLAT), weights="pretrained")
    assert found.state == "not judged" and "pretrained" in found.sentence


@pytest.mark.parametrize(
    ("mean", "std", "photos", "ours", "theirs"),
    [
        (2.0, 1.0, 600, "triggered", "triggered"),
        (0.4, 1.0, 600, "quiet", "triggered"),
        (0.1, 1.0, 600, "quiet", "quiet"),
        (0.1, 0.01, 600, "triggered", "quiet"),
        (2.0, 1.0, 100, "triggered", "not judged"),
        (2.0, 1.0, 10, "not judged", "not judged"),
    ],
)
def test_photos_far_from_those_of_the_pretraining_are_found(
    tmp_path: Path, mean: float, std: float, photos: int, ours: str, theirs: str
) -> None:
    records = [record("inputs", split="train", photos=photos, mean=[0.0, -mean, 0.0], std=[1.0, 1.0, std])]
    for limits, state in ((OURS, ours), (SAGEMAKER, theirs)):
        assert said("CheckInputImages", tmp_path / limits.name, records, limits).state == state


@BOTH
def test_half_an_hour_without_a_sign_of_the_job_is_found(tmp_path: Path, limits: Thresholds) -> None:
    moving = [steps("head", 1, [0.1] * 5) | {"time": 1_700_000_000.0 + 1000 * number} for number in range(3)]
    quiet = said("StalledTraining", tmp_path / "moving", moving, limits)
    assert quiet.state == "quiet" and "1,000 s" in quiet.sentence
    stalled = [*moving, steps("head", 1, [0.1]) | {"time": 1_700_004_000.0}]
    assert said("StalledTraining", tmp_path / "stalled", stalled, limits).state == "triggered"
    assert said("StalledTraining", tmp_path / "old", course([1.0], [1.0]), limits).state == "not judged"


@BOTH
def test_the_photos_of_train_decide_whether_classes_are_unequal(tmp_path: Path, limits: Thresholds) -> None:
    matrix = [[200, 0, 0], [0, 200, 0], [0, 0, 200]]
    for counts, state in (([990, 10, 500], "triggered"), ([400, 60, 500], "quiet")):
        records = [job(class_photos={"train": counts}), *judged("test", matrix)]
        found = verdict("ClassImbalance", write(tmp_path / state, records), limits)
        assert found.state == state and "train: " in found.sentence


@pytest.mark.parametrize("rule", ["VanishingGradient", "AllZero", "WeightUpdateRatio", "UnchangedTensor", "DeadRelu"])
def test_without_statistics_the_option_that_records_them_is_named(tmp_path: Path, rule: str) -> None:
    found = said(rule, tmp_path, course([1.0], [1.0]))
    assert found.state == "not judged" and "--set tensor-stats-steps=50" in found.sentence
