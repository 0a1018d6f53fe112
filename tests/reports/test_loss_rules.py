"""Rules on losses, each with records that must trigger it and records that must not, including AWS's published test vectors."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from reports.rules.loss import not_decreasing, smoothed
from reports.rules.thresholds import OURS, SAGEMAKER, Thresholds
from tests.reports.made import course, epoch, healthy, job, record, verdict, write

STEPS = (0, 4, 8, 12, 16)
FALLING = [2.0 * 0.8**number for number in range(10)]


def fired(losses: list[tuple[int, float]], **limits: float) -> list[int]:
    return [step for step, _ in not_decreasing(losses, replace(SAGEMAKER.loss, **limits))]


def test_the_published_losses_fire_at_step_12_and_not_from_13_to_17() -> None:
    losses = list(zip(STEPS, (0.3, 0.33, 0.31, 0.30, 0.28), strict=True))
    assert fired(losses) == [12]


def test_the_published_rise_fires_at_step_24() -> None:
    losses = list(zip((*STEPS, 20, 24), (0.3, 0.33, 0.31, 0.30, 0.28, 0.2, 0.42), strict=True))
    limits = replace(SAGEMAKER.loss, increase_percent=20)
    assert [step for step, growth in not_decreasing(losses, limits) if growth > limits.increase_percent] == [24]


def test_a_loss_is_compared_with_the_last_one_that_is_old_enough() -> None:
    # 10 is compared with 0: lower; 15 with 5: lower by 0.05 % only.
    assert fired([(0, 5.0), (5, 1.0), (10, 4.0), (15, 0.9995)]) == [15]
    assert fired([(0, 1.0), (9, 2.0)]) == []


def test_a_loss_of_nothing_that_rises_fires() -> None:
    assert not_decreasing([(0, 0.0), (10, 0.5)], SAGEMAKER.loss) == [(10, math.inf)]
    assert fired([(0, 0.0), (10, 0.0)]) == [10]


def test_smoothing_is_the_mean_of_so_many_losses() -> None:
    assert smoothed([1, 2, 3, 4], 2) == [1.5, 2.5, 3.5]


@pytest.mark.parametrize("limits", [OURS, SAGEMAKER], ids=["ours", "sagemaker"])
def test_a_falling_loss_is_quiet_under_both_sets(tmp_path: Path, limits: Thresholds) -> None:
    found = verdict("LossNotDecreasing", write(tmp_path, [job(), *course(FALLING, FALLING)]), limits)
    assert (found.state, found.points) == ("quiet", 100)


def test_a_loss_that_stays_high_is_found_with_a_rate_to_try(tmp_path: Path) -> None:
    found = verdict("LossNotDecreasing", write(tmp_path, [job(), *course([2.0] * 5, [2.0] * 5)]))
    assert found.state == "triggered" and "fell by less than 5 %" in found.sentence
    assert "--set lr=0.1" in found.advice and "--set lr=0.001" in found.advice


def test_a_loss_that_falls_and_then_rises_asks_for_a_lower_rate(tmp_path: Path) -> None:
    losses = [2.0, 1.0, 0.6, 1.4, 1.9, 2.4]
    found = verdict("LossNotDecreasing", write(tmp_path, [job(), *course(losses, losses)]))
    assert found.state == "triggered" and "rose by" in found.sentence and "--set lr=0.001" in found.advice


def test_a_model_that_knows_the_photos_already_is_quiet(tmp_path: Path) -> None:
    records = [job(), *course([0.01] * 5, [0.02] * 5, train_accuracy=1.0)]
    assert verdict("LossNotDecreasing", write(tmp_path, records)).state == "quiet"


def test_fine_tuning_names_its_own_rate(tmp_path: Path) -> None:
    head = course(FALLING, FALLING)
    tuned = course([1.0] * 4, [1.0] * 4, stage="finetune", train_accuracy=0.5)
    found = verdict("LossNotDecreasing", write(tmp_path, [job(), *head, *tuned]))
    assert (
        found.state == "triggered"
        and found.sentence.startswith("finetune:")
        and "--set finetune-lr=0.001" in found.advice
    )


def test_few_steps_are_not_judged_and_counted(tmp_path: Path) -> None:
    found = verdict("LossNotDecreasing", write(tmp_path, [job(), epoch(1, 2.0, 2.0)]))
    assert (found.state, found.points) == ("not judged", 10)
    assert verdict("LossNotDecreasing", write(tmp_path / "none", [job()])).sentence == "No epoch was recorded."


def test_without_steps_the_epochs_are_judged(tmp_path: Path) -> None:
    found = verdict("LossNotDecreasing", write(tmp_path, [job(), *course([1.0] * 25, [1.0] * 25, step_losses=[])]))
    assert (found.state, found.points) == ("triggered", 25)


def test_a_validation_loss_that_rises_while_training_falls_is_overfitting(tmp_path: Path) -> None:
    validation = [2.0, 1.2, 0.8, 0.6, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0]
    found = verdict("Overfit", write(tmp_path, [job(), *course(FALLING, validation)]))
    assert found.state == "triggered" and "in epoch 5 of 10" in found.sentence and "82 % higher" in found.sentence
    assert "--set epochs=5" in found.advice


def test_a_gap_alone_is_overfitting_for_sagemaker_only(tmp_path: Path) -> None:
    folder = write(tmp_path, [job(), *course(FALLING, [loss + 0.3 for loss in FALLING])])
    assert verdict("Overfit", folder).state == "quiet"
    assert verdict("Overfit", folder, SAGEMAKER).state == "triggered"
    assert verdict("Overfit", write(tmp_path / "same", [job(), *course(FALLING, FALLING)]), SAGEMAKER).state == "quiet"


def test_both_losses_rising_is_not_overfitting(tmp_path: Path) -> None:
    rising = [1.0, 0.5, 0.8, 1.0, 1.2]
    assert verdict("Overfit", write(tmp_path, [job(), *course(rising, rising)])).state == "quiet"


def test_one_bad_epoch_is_not_overfitting(tmp_path: Path) -> None:
    validation = [loss + 0.1 for loss in FALLING[:-1]] + [0.9]
    assert verdict("Overfit", write(tmp_path, [job(), *course(FALLING, validation)])).state == "quiet"


def test_two_epochs_are_too_few_to_call_it_overfitting(tmp_path: Path) -> None:
    found = verdict("Overfit", write(tmp_path, [job(), *course([1.0, 0.5], [1.0, 2.0])]))
    assert (found.state, found.points) == ("not judged", 2)


def flat(count: int) -> list[float]:
    return [2.0, 1.0, 0.5] + [0.5] * (count - 3)


def test_epochs_that_bring_nothing_are_found_with_the_time_they_took(tmp_path: Path) -> None:
    records = [job(), *course(flat(10), flat(10), validation_accuracy=0.8, epoch_seconds=3.0)]
    found = verdict("Overtraining", write(tmp_path, records))
    assert found.state == "triggered" and "was 3 of 10; the 7 after it took 21.0 s" in found.sentence
    assert "--set epochs=3" in found.advice


def test_a_better_accuracy_is_of_use_even_where_the_loss_is_not(tmp_path: Path) -> None:
    records = [job()]
    for number, loss in enumerate(flat(10), 1):
        records.append(epoch(number, loss, loss, validation_accuracy=0.5 + 0.01 * number))
    assert verdict("Overtraining", write(tmp_path, records)).state == "quiet"


def test_a_stage_that_stopped_by_itself_is_not_blamed_for_its_patience(tmp_path: Path) -> None:
    records = [job(hyperparameters={"early-stopping": 5}), *course(flat(8), flat(8), validation_accuracy=0.8)]
    assert verdict("Overtraining", write(tmp_path, records)).state == "quiet"


def test_sagemaker_wants_five_epochs_of_training_and_ten_of_validation(tmp_path: Path) -> None:
    still = write(tmp_path / "still", [job(), *course(flat(14), flat(14))])
    assert verdict("Overtraining", still, SAGEMAKER).state == "triggered"
    learning = [2.0 - 0.1 * number for number in range(14)]
    moving = write(tmp_path / "moving", [job(), *course(learning, flat(14))])
    assert verdict("Overtraining", moving, SAGEMAKER).state == "quiet"
    short = verdict("Overtraining", write(tmp_path / "short", [job(), *course(flat(9), flat(9))]), SAGEMAKER)
    assert (short.state, short.points) == ("not judged", 9)


def test_a_loss_that_is_not_a_number_is_found_at_its_step(tmp_path: Path) -> None:
    steps = [1.0, 0.9, None, None, 0.8, None]
    found = verdict("ExplodingTensor", write(tmp_path, [job(), epoch(1, 1.0, 1.0, step_losses=steps)]))
    assert (found.state, found.episodes) == ("triggered", 2)
    assert "3 of 6 steps" in found.sentence and "first in step 3 of head" in found.sentence
    assert verdict("ExplodingTensor", write(tmp_path / "good", healthy())).state == "quiet"


def layers(kind: str, *values: dict[str, object]) -> list[dict[str, object]]:
    return [
        record(
            kind,
            stage="finetune",
            epoch=1,
            step=step,
            layers={"stem": one, "head": {"mean": 0.1, "std": 0.1, "share_zero": 0.2}},
        )
        for step, one in enumerate(values)
    ]


def test_gradients_that_are_too_small_have_vanished(tmp_path: Path) -> None:
    small, good = {"mean": 0.0, "std": 1e-9}, {"mean": 0.0, "std": 1e-3}
    found = verdict("VanishingGradient", write(tmp_path, [job(), *layers("gradients", small, small, good)]))
    assert found.state == "triggered" and "the first of these layers is stem" in found.sentence
    assert verdict("VanishingGradient", write(tmp_path / "good", [job(), *layers("gradients", good)])).state == "quiet"
    assert verdict("VanishingGradient", write(tmp_path / "none", healthy())).state == "not judged"


def test_a_layer_of_zeros_is_found_and_one_of_some_zeros_is_not(tmp_path: Path) -> None:
    dead, alive = {"share_zero": 1.0}, {"share_zero": 0.99}
    assert verdict("AllZero", write(tmp_path / "dead", [job(), *layers("activations", dead)])).state == "triggered"
    assert verdict("AllZero", write(tmp_path / "alive", [job(), *layers("activations", alive)])).state == "quiet"


def test_a_gradient_that_is_not_a_number_has_exploded(tmp_path: Path) -> None:
    broken = {"mean": None, "std": None}
    found = verdict("ExplodingTensor", write(tmp_path, [job(), *layers("gradients", broken)]))
    assert (
        found.state == "triggered"
        and "gradients of 1 layers are infinite or not a number, the first is stem" in found.sentence
    )
