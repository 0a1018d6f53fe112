"""Verdicts that were missing or false on real runs: records with the numbers of those runs."""

import dataclasses
from pathlib import Path

import pytest

from reports.report import read
from reports.rules.classes import pairs
from reports.rules.thresholds import OURS
from tests.reports.made import course, done, epoch, job, judged, verdict, write

NAMES = ("Chihuahua", "spaniel", "Maltese", "Pekinese")
# Losses with a learning rate of 10: SHOT_UP are the first steps of an untrained head, COMES_DOWN the steps after them.
SHOT_UP = [2.07, 811.6, 195.8, 134.9, 158.7, 91.1, 28.3, 123.8, 286.7, 141.4]
COMES_DOWN = [15.5, 10.2, 16.8, 66.8, 39.1, 11.8, 0.02, 3.7, 0.1, 0.9]


def steps(*losses: list[float], **values: object) -> list[dict[str, object]]:
    return [
        epoch(number, sum(held) / len(held), 110.0, step_losses=held, **values) for number, held in enumerate(losses, 1)
    ]


def test_a_loss_that_shoots_up_is_found_though_it_comes_down_again(tmp_path: Path) -> None:
    found = verdict("LossNotDecreasing", write(tmp_path, [job(), *steps(SHOT_UP, SHOT_UP, COMES_DOWN, COMES_DOWN)]))
    assert (
        found.state == "triggered" and "loss of guessing is 1.1" in found.sentence and "--set lr=0.001" in found.advice
    )


def test_a_first_step_that_is_high_by_chance_is_not_reported_as_a_loss_that_shot_up(tmp_path: Path) -> None:
    high = [5.0, 4.8, 4.9, 4.7, 4.6, 3.0, 2.0, 1.0, 0.5, 0.4]
    assert verdict("LossNotDecreasing", write(tmp_path, [job(), *steps(high, [0.3] * 10, [0.2] * 10)])).state == "quiet"


def test_a_model_that_takes_everything_for_one_class_confuses_no_pair(tmp_path: Path) -> None:
    everything = [[2, 5, 0, 0], [0, 7, 0, 0], [1, 6, 0, 0], [0, 6, 1, 0]]
    folder = write(tmp_path, [job(classes=NAMES), *course([1.39], [1.38]), *judged("test", everything, NAMES), done()])
    assert verdict("Confusion", folder).state == "quiet"
    run = read(folder)[0].run
    assert run is not None
    taken = {pair.truth: pair.others for pair in pairs(run, run.splits[0]) if pair.prediction == "spaniel"}
    assert taken == pytest.approx({"Chihuahua": 12 / 14, "Maltese": 11 / 14, "Pekinese": 11 / 14})


def test_epochs_that_take_a_moment_are_not_a_finding(tmp_path: Path) -> None:
    losses = [2.0, 1.0, *[0.5] * 8]
    records = [job(), *course(losses, losses, validation_accuracy=0.8, epoch_seconds=0.1)]
    found = verdict("Overtraining", write(tmp_path / "short", records))
    assert found.state == "quiet" and "the 7 after it took only 0.7 s" in found.sentence
    longer = [job(), *course(losses, losses, validation_accuracy=0.8, epoch_seconds=2.0)]
    assert verdict("Overtraining", write(tmp_path / "long", longer)).state == "triggered"
    patient = dataclasses.replace(OURS, overtraining=dataclasses.replace(OURS.overtraining, seconds=0))
    assert verdict("Overtraining", tmp_path / "short", patient).state == "triggered"


def test_a_run_that_learnt_nothing_is_not_overtrained(tmp_path: Path) -> None:
    stuck = [2.083, 2.081, 2.08, 2.079, 2.078, 2.077]
    folder = write(tmp_path, [job(), *course(stuck, stuck, validation_accuracy=0.2, epoch_seconds=9.0)])
    assert verdict("Overtraining", folder).state == "quiet"
    assert verdict("LossNotDecreasing", folder).state == "triggered"
