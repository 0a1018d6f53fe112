"""The local tuner: which trial is the best, and what its seed decides. A program that replaces Docker trains nothing."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from launch.training import Recipe
from launch.tune import tune

# Writes the records of a trial, whose accuracy and loss are listed by the trial's number, and writes its own command to a file.
DOCKER = """#!{python}
import json, pathlib, sys
base = pathlib.Path(next(a for a in sys.argv if a.startswith("byoc-classifier.job=")).partition("=")[2])
accuracy, loss = {answers}[int(base.name) - 1]
record = dict(kind="result", split="validation", accuracy=accuracy, loss=loss)
(base / "output" / "data" / "records.jsonl").write_text(json.dumps(record) + "\\n")
(base / "command.json").write_text(json.dumps(sys.argv))
"""


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the tuner. The trials end with the given accuracies and losses."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    def run(name: str, answers: list[tuple[float, float]], **hyperparameters: str) -> list[dict[str, Any]]:
        program = tmp_path / "bin" / "docker"
        program.write_text(DOCKER.format(python=sys.executable, answers=answers))
        program.chmod(0o755)
        recipe = Recipe(
            data=tmp_path,
            hyperparameters=hyperparameters,
            channels={},
            feature_cache=tmp_path / "cache",
            image="an-image",
        )
        return tune(tmp_path / name, recipe, len(answers))

    return run


def test_the_best_trial_is_the_most_accurate_then_the_one_of_the_lowest_loss(tuned: Any, tmp_path: Path) -> None:
    trials = tuned("out", [(0.9, 0.5), (0.9, 0.3), (0.8, 0.1), (0.9, 0.4)])
    assert [trial["trial"] for trial in trials] == [2, 4, 1, 3]
    assert [trial["validation_loss"] for trial in trials] == [0.3, 0.4, 0.5, 0.1]
    assert json.loads((tmp_path / "out" / "tuning.json").read_text()) == trials
    assert not list((tmp_path / "out").glob("*/model"))  # losing artifacts are removed


def test_the_first_trial_is_the_one_that_optuna_draws_from_the_jobs_seed(tuned: Any) -> None:
    chosen = {}
    for seed in ("0", "1", "7"):
        (trial,) = tuned(f"seed-{seed}", [(0.9, 0.5)], seed=seed)
        chosen[seed] = trial["hyperparameters"]
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=int(seed)))
        asked = study.ask()
        rate = asked.suggest_float("lr", 0.001, 0.1, log=True)
        assert float(chosen[seed]["lr"]) == pytest.approx(rate, rel=1e-5)
        assert chosen[seed]["batch-size"] == str(asked.suggest_categorical("batch-size", (64, 128)))
        assert chosen[seed]["epochs"] == str(asked.suggest_categorical("epochs", (2, 5)))
    assert len({item["lr"] for item in chosen.values()}) == 3


def test_what_is_given_reaches_every_trial_and_is_not_tuned(tuned: Any, tmp_path: Path) -> None:
    trials = tuned("out", [(0.9, 0.5)] * 2, lr="0.02", dropout="0.5")
    for trial in trials:
        given = json.loads((tmp_path / "out" / f"{trial['trial']:03d}/input/config/hyperparameters.json").read_text())
        assert trial["hyperparameters"].keys() == {"batch-size", "epochs"}
        # SageMaker adds the objective's name to each trial too.
        assert given.pop("_tuning_objective_metric") == "validation:accuracy"
        assert given == {"lr": "0.02", "dropout": "0.5"} | trial["hyperparameters"]


def test_trials_make_nothing_that_serving_alone_needs(tuned: Any, tmp_path: Path) -> None:
    tuned("out", [(0.9, 0.5)] * 2)
    for number in (1, 2):
        assert "BYOC_DISCARD_MODEL=1" in json.loads((tmp_path / f"out/00{number}/command.json").read_text())


def test_the_first_trial_has_all_cores_and_the_others_share_them(tuned: Any, tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    tuned("out", [(0.9, 0.5)] * 2)
    for number, threads in ((1, cores), (2, max(1, cores // min(cores, 4)))):
        assert f"OMP_NUM_THREADS={threads}" in json.loads((tmp_path / f"out/00{number}/command.json").read_text())
