"""The head trained by lbfgs: it reaches the optimum, its L2 term is chosen on validation, and it continues after an interruption."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from classifier.errors import ConfigError
from tests.clouds import TRAIN, VALIDATION, fresh
from tests.conftest import ROOT, lay_out, run_to_the_end, run_training, training
from tests.ports import free_port
from train import stop
from train.config import METRIC_DEFINITIONS, Config
from train.evaluation import judge
from train.features import Features
from train.head.optimum import VALUES, optimum
from train.head.search import Found
from train.head.stage import class_weights, head_stage, predict
from train.loop.checkpoint import Checkpoints
from train.processes.world import World
from train.report.records import Records

JOB: dict[str, Any] = {"hyperparameters": {}, "classes": [], "photos": {}}


def found(head: nn.Module, folder: Path | None = None, train: Features = TRAIN, **settings: Any) -> Found:
    """Train a head by lbfgs; write its records to `folder` unless it is None."""
    config, records = Config(optimizer="lbfgs", **settings), Records(folder)
    try:
        return optimum(head_stage(head, train, VALIDATION, config, World()), train, config, records)
    finally:
        records.close()


def trials(folder: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "records.jsonl").read_text().splitlines())
    return [{name: line[name] for name in line if name not in ("time", "seconds")} for line in lines]


@pytest.mark.host("scikit-learn is in neither image")
@pytest.mark.parametrize("l2", [0.1, 0.001])
def test_the_optimum_is_as_low_as_that_of_scikit_learn(l2: float) -> None:
    from sklearn.linear_model import LogisticRegression  # imported here, because it is in neither image

    ours = fresh()
    found(ours, weight_decay=l2)
    inputs, labels = TRAIN.features.double().numpy(), TRAIN.labels.numpy()
    # scikit-learn's loss is C times the sum over the photos, plus half of the squared weights.
    theirs = LogisticRegression(C=1 / (l2 * len(labels)), tol=1e-9, max_iter=10_000).fit(inputs, labels)

    def loss(weight: np.ndarray[Any, Any], bias: np.ndarray[Any, Any]) -> float:
        logits = torch.from_numpy(inputs @ weight.T + bias)
        return float(functional.cross_entropy(logits, TRAIN.labels) + l2 / 2 * float((weight**2).sum()))

    weight, bias = (value.detach().double().numpy() for value in ours[0].parameters())
    assert loss(weight, bias) == pytest.approx(loss(theirs.coef_, theirs.intercept_), abs=1e-4)


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.2}, {"class_weights": "balanced"}])
def test_no_direction_leads_down_from_the_optimum(settings: dict[str, Any]) -> None:
    head, config = fresh(), Config(optimizer="lbfgs", weight_decay=0.01, **settings)
    found(head, weight_decay=0.01, **settings)
    weights = class_weights(TRAIN.labels, 8, config)
    loss: torch.Tensor = functional.cross_entropy(
        head(TRAIN.features), TRAIN.labels, weights, label_smoothing=config.label_smoothing, reduction="sum"
    )
    (loss / len(TRAIN.labels) + 0.005 * head[0].weight.square().sum()).backward()
    assert max(float(parameter.grad.abs().max()) for parameter in head.parameters()) < 1e-3


def test_the_l2_term_of_the_lowest_validation_loss_is_kept_with_its_metrics(tmp_path: Path) -> None:
    head = fresh()
    result = found(head, tmp_path)
    tried = trials(tmp_path)
    assert [trial["hyperparameters"]["weight-decay"] for trial in tried] == list(VALUES[: len(tried)])
    best = min(tried, key=lambda trial: trial["validation_loss"])
    assert result.config.weight_decay == best["hyperparameters"]["weight-decay"] and 1 < best["number"] < len(VALUES)
    # The search ends after two trials that are not better.
    assert len(tried) == best["number"] + 2
    judged = judge(predict(head, VALIDATION, World()), VALIDATION.labels)
    ((epoch, metrics),) = result.epochs
    assert epoch == result.best.epoch == 1
    assert judged.loss == pytest.approx(best["validation_loss"]) == metrics["validation:loss"] == -result.best.score[1]
    assert len(metrics["step_losses"]) == len(metrics["step_seconds"])
    assert metrics["train:loss"] == pytest.approx(metrics["step_losses"][-1], abs=1e-5)
    truth = predict(head, TRAIN, World()).argmax(1) == TRAIN.labels
    assert metrics["train:accuracy"] == pytest.approx(float(truth.float().mean()))


def test_early_stopping_says_how_many_values_may_be_no_better(tmp_path: Path) -> None:
    counts = []
    for patience in (0, 1, 4):
        found(fresh(), tmp_path / str(patience), early_stopping=patience)
        counts.append(len(trials(tmp_path / str(patience))))
    assert counts[1] + 1 == counts[0] == counts[2] - 2


def test_a_value_from_the_one_before_it_ends_where_one_from_a_new_head_does(tmp_path: Path) -> None:
    warm, cold = fresh(), fresh(seed=5)
    chosen = found(warm).config.weight_decay
    result = found(cold, tmp_path, weight_decay=chosen)
    assert result.config.weight_decay == chosen and not trials(tmp_path)  # a given value needs no trials
    torch.testing.assert_close(
        predict(warm, VALIDATION, World()), predict(cold, VALIDATION, World()), atol=0.02, rtol=0.01
    )


class Stopping(Records):
    """Records that request a stop after the third trial, as SIGTERM would."""

    def write(self, kind: str, **values: Any) -> None:
        super().write(kind, **values)
        if values.get("number") == 3:
            stop.requested.set()


def test_a_search_that_is_stopped_keeps_its_best_value_and_goes_on_from_there(tmp_path: Path) -> None:
    config, expected = Config(optimizer="lbfgs"), found(fresh(), tmp_path / "whole")
    for folder, kind in (("first", Stopping), ("second", Records)):
        head, kept = fresh(), Checkpoints(tmp_path / "checkpoints", JOB, 1e9, World())
        stage, saved, records = (
            head_stage(head, TRAIN, VALIDATION, config, World()),
            kept.load(),
            kind(tmp_path / folder),
        )
        try:
            result = optimum(stage, TRAIN, config, records, kept, saved)
        finally:
            stop.requested.clear()
            records.close()
        if folder == "first":
            assert len(trials(tmp_path / folder)) == 3 and result.config.weight_decay == VALUES[2]
            assert judge(predict(head, VALIDATION, World()), VALIDATION.labels).loss == -result.best.score[1]
    again = trials(tmp_path / "second")
    assert again[:3] == trials(tmp_path / "first") and len(again) == len(trials(tmp_path / "whole"))
    assert result.config == expected.config
    assert result.best.score[1] == pytest.approx(expected.best.score[1], abs=1e-4)


def test_a_job_that_is_stopped_in_its_first_value_keeps_what_it_has_learnt() -> None:
    stop.requested.set()
    try:
        result = found(fresh())
    finally:
        stop.requested.clear()
    assert result.best.epoch == 0 and not result.epochs and result.best.logits is not None


def test_features_that_are_no_numbers_fail_with_one_sentence() -> None:
    broken = Features(
        features=TRAIN.features * torch.nan, rows=TRAIN.rows, labels=TRAIN.labels, photos=(), fingerprint=""
    )
    with pytest.raises(ConfigError, match="the head's loss is not a number on the backbone's features; set precision"):
        found(fresh(), train=broken)


PROCESS = """
import sys, torch
from torch import distributed
from tests.clouds import VALIDATION, clouds, fresh
from train.config import Config
from train.head.stage import head_stage
from train.head.optimum import optimum
from train.processes.world import World
from train.report.records import Records

rank = int(sys.argv[1])
distributed.init_process_group("gloo", f"tcp://127.0.0.1:{sys.argv[2]}", rank=rank, world_size=2)
world, head, config = World(rank, 2), fresh(), Config(optimizer="lbfgs")
train, own = clouds(1200, 1, rank, 2), clouds(400, 2, rank, 2)
result = optimum(head_stage(head, train, own, config, world), train, config, Records(None))
torch.save((result.config.weight_decay, result.best.score, head.state_dict()), sys.argv[3] + str(rank))
distributed.barrier()
distributed.destroy_process_group()  # an open group sometimes ends its process by SIGABRT
"""


@pytest.mark.slow
def test_two_processes_find_what_one_does(tmp_path: Path) -> None:
    port, out = str(free_port()), str(tmp_path / "rank")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LOCAL_WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-P", "-c", PROCESS]
    processes = [subprocess.Popen([*command, str(rank), port, out], env=environment) for rank in (0, 1)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    head = fresh()
    alone = found(head)
    first, second = (torch.load(f"{out}{rank}") for rank in (0, 1))
    assert first[:2] == second[:2] and first[0] == alone.config.weight_decay
    assert first[1] == pytest.approx(alone.best.score, abs=1e-4)
    torch.testing.assert_close(first[2], second[2])
    torch.testing.assert_close(first[2], head.state_dict(), atol=0.02, rtol=0.01)


# The job sends itself a signal once it has printed the line of trial 3. From outside, the search may be over by then.
SIGNALLED = """
import builtins, os
say = builtins.print

def print_and_signal(*words, **options):
    say(*words, **options)
    if words and str(words[0]).startswith("trial 3 of at most 15: weight-decay 0.1; "):
        os.kill(os.getpid(), NUMBER)

builtins.print = print_and_signal
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_that_a_signal_ends_goes_on_with_the_next_values(
    samples: Path, feature_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "features").symlink_to(feature_cache)
    given: dict[str, Any] = {"optimizer": "lbfgs", "precision": "fp32"}
    (tmp_path / "sitecustomize.py").write_text(SIGNALLED.replace("NUMBER", str(int(number))))
    with monkeypatch.context() as changed:
        changed.setenv("PYTHONPATH", str(tmp_path))
        with training(tmp_path, samples, **given) as process:
            output = process.communicate(timeout=300)[0]
    assert process.returncode == (143 if number == signal.SIGTERM else -9), output
    assert ("the best model so far was written" in output) == (number == signal.SIGTERM)
    done = run_to_the_end([], lay_out(tmp_path, samples, given))
    assert done.returncode == 0 and "head: goes on after step 0 of epoch " in done.stdout, done.stderr
    numbers = re.findall(r"^trial (\d+) of ", done.stdout, re.MULTILINE)
    assert list(map(int, numbers)) == list(range(1, len(numbers) + 1)) and len(numbers) > 4
    assert len(re.findall("^epoch=1 ", done.stdout, re.MULTILINE)) == 1


@pytest.mark.slow
def test_a_job_prints_one_epoch_and_its_artifact_says_the_l2_term(
    samples: Path, feature_cache: Path, tmp_path: Path
) -> None:
    given = {"optimizer": "lbfgs", "precision": "fp32", "epochs": "None"}
    run = run_training(tmp_path, {"training": samples}, given, feature_cache)
    assert run.status == 0, run.errors
    tried = [record for record in run.records if record["kind"] == "trial"]
    training = json.loads((tmp_path / "model/model.json").read_text())["training"]
    best = min(tried, key=lambda trial: trial["validation_loss"])
    assert training["hyperparameters"]["weight-decay"] == best["hyperparameters"]["weight-decay"]
    (epoch,) = (record for record in run.records if record["kind"] == "epoch")
    for definition in METRIC_DEFINITIONS:
        (number,) = map(float, re.findall(definition["Regex"], run.output))
        assert number == pytest.approx(epoch[definition["Name"].replace(":", "_")], rel=1e-5)
