"""Head search: every trial is recorded, the best is kept, and only its epochs are printed as metrics."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from classifier.errors import ConfigError
from classifier.models import build_head
from classifier.photos import Photo
from tests.conftest import Run, run_training
from train import stop
from train.config import METRIC_DEFINITIONS, TUNING_RANGES, Config, parse, searched
from train.evaluation import Evaluation, judge
from train.features import Features
from train.head.search import search
from train.head.stage import head_stage, predict
from train.loop.engine import fit
from train.processes.world import World
from train.report.records import Records

TRIALS = 6


def clouds(count: int, seed: int) -> Features:
    """Overlapping clouds of 16 numbers, one cloud for each class, so that no head classifies all correctly."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(8, 16, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(count) % 8
    features = centres[labels] + 1.5 * torch.randn(count, 16, generator=random)
    photos = tuple(Photo(Path(f"{n}.jpg"), int(label)) for n, label in enumerate(labels))
    return Features(features=features, rows=torch.arange(count), labels=labels, photos=photos, fingerprint="")


TRAIN, VALIDATION = clouds(800, 1), clouds(400, 2)
LABELS: dict[str, Any] = {"rows": TRAIN.rows, "labels": TRAIN.labels, "photos": TRAIN.photos, "fingerprint": ""}


class Study:
    """One search over the clouds, and all its results."""

    def __init__(self, folder: Path, hyperparameters: Mapping[str, str], train: Features = TRAIN) -> None:
        self.config = parse({"search-trials": str(TRIALS), **hyperparameters})
        self.head = fresh_head(self.config)
        records = Records(folder)
        try:
            splits = {"train": train, "validation": VALIDATION}
            found = search(self.head, splits, self.config, searched(hyperparameters), records, World())
            self.winner, self.epochs, self.best_epoch = found.config, found.epochs, found.best.epoch
        finally:
            records.close()
            self.trials = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def fresh_head(config: Config) -> nn.Module:
    torch.manual_seed(config.seed)
    return build_head(16, config.hidden, config.dropout, 8)


def evaluate(head: nn.Module, split: Features) -> Evaluation:
    return judge(predict(head, split, World()), split.labels)


def best(trials: list[dict[str, Any]]) -> dict[str, Any]:
    return min(trials, key=lambda trial: (-trial["validation_accuracy"], trial["validation_loss"], trial["number"]))


def test_the_best_trial_is_kept_with_its_weights_and_its_epochs(tmp_path: Path) -> None:
    study = Study(tmp_path, {})
    kept = best(study.trials)
    assert [trial["number"] for trial in study.trials] == list(range(1, TRIALS + 1))
    assert kept["hyperparameters"].items() <= study.winner.to_json().items()
    judged = evaluate(study.head, VALIDATION)
    assert judged.accuracy == kept["validation_accuracy"] and judged.loss == pytest.approx(kept["validation_loss"])
    assert [number for number, _ in study.epochs] == list(range(1, study.winner.epochs + 1))
    assert study.epochs[study.best_epoch - 1][1]["validation:accuracy"] == kept["validation_accuracy"]
    assert study.best_epoch == kept["best_epoch"]


def test_the_trials_keep_to_the_space_and_differ(tmp_path: Path) -> None:
    tried = [trial["hyperparameters"] for trial in Study(tmp_path, {}).trials]
    for chosen in tried:
        assert chosen.keys() == TUNING_RANGES.keys()
        assert 0.001 <= chosen["lr"] <= 0.1 and chosen["batch-size"] in (64, 128) and chosen["epochs"] in (2, 5)
    assert len({chosen["lr"] for chosen in tried}) == TRIALS


def test_the_same_seed_gives_the_same_search_and_another_seed_another(tmp_path: Path) -> None:
    first, again, other = (Study(tmp_path / str(n), {"seed": seed}) for n, seed in enumerate("001"))
    same = ("number", "hyperparameters", "validation_accuracy", "best_epoch")
    assert [[t[key] for key in same] for t in first.trials] == [[t[key] for key in same] for t in again.trials]
    assert first.winner == again.winner
    torch.testing.assert_close(first.head.state_dict(), again.head.state_dict(), atol=1e-4, rtol=1e-3)
    assert first.trials[0]["hyperparameters"] != other.trials[0]["hyperparameters"]


def test_trials_side_by_side_are_those_of_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        studies.append(Study(tmp_path / threads, {"search-trials": "13"}))  # more than one round
    alone, together = studies
    assert len(alone.trials) == 13 and alone.winner == together.winner
    for one, other in zip(alone.trials, together.trials, strict=True):
        assert (one["number"], one["hyperparameters"]) == (other["number"], other["hyperparameters"])
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-5)
        assert one["validation_accuracy"] == other["validation_accuracy"]
    torch.testing.assert_close(alone.head.state_dict(), together.head.state_dict(), atol=1e-5, rtol=1e-4)


def test_the_threads_of_torch_are_as_many_after_a_search_as_before(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    Study(tmp_path, {})
    assert torch.get_num_threads() == before


def test_what_is_given_is_not_searched(tmp_path: Path) -> None:
    study = Study(tmp_path, {"lr": "0.02", "batch_size": "100"})
    assert study.winner.lr == 0.02 and study.winner.batch_size == 100
    assert [set(trial["hyperparameters"]) for trial in study.trials] == [{"epochs"}] * TRIALS


def test_a_trial_trains_the_head_that_a_job_with_its_hyperparameters_trains(tmp_path: Path) -> None:
    study = Study(tmp_path, {"hidden": "32", "dropout": "0.3"})
    head = fresh_head(study.config)
    stage = head_stage(head, TRAIN, VALIDATION, study.winner, World())
    fit(stage, lambda epoch, metrics: None)
    torch.testing.assert_close(head.state_dict(), study.head.state_dict(), atol=1e-4, rtol=1e-3)


def test_a_search_whose_every_trial_diverges_fails_with_one_sentence_and_keeps_the_records(tmp_path: Path) -> None:
    broken = Features(features=TRAIN.features * torch.nan, **LABELS)
    with pytest.raises(ConfigError, match=f"all {TRIALS} trials of the search failed; the last one: the loss is no"):
        Study(tmp_path, {}, broken)
    trials = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert len(trials) == TRIALS
    for trial in trials:
        assert trial["validation_accuracy"] is None and "no longer a number" in trial["reason"]


def test_a_trial_that_diverges_costs_only_itself(tmp_path: Path) -> None:
    # The scale is so large that the summed loss of 128 photos exceeds float32 and that of 64 photos does not.
    config = Config()
    scale = 2.4e38 / (64 * evaluate(fresh_head(config), Features(features=1e6 * TRAIN.features, **LABELS)).loss) * 1e6
    study = Study(tmp_path, {}, Features(features=scale * TRAIN.features, **LABELS))
    failed = [trial for trial in study.trials if trial["validation_accuracy"] is None]
    assert {trial["hyperparameters"]["batch-size"] for trial in failed} == {128}
    assert 0 < len(failed) < TRIALS and study.winner.batch_size == 64


def test_a_search_with_nothing_left_to_search_is_refused() -> None:
    given = {"lr": "0.01", "batch-size": "64", "epochs": "2", "search-trials": "5"}
    with pytest.raises(ConfigError, match="search-trials is 5, but lr, batch-size, epochs all have values"):
        parse(given)
    assert parse(given | {"search-trials": "0"}).search_trials == 0


@pytest.fixture(scope="module")
def found(samples: Path, feature_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    base = tmp_path_factory.mktemp("found")
    # conftest sets epochs to 2, so it is fixed. lr and batch-size are searched.
    hyperparameters = {"precision": "fp32", "search-trials": str(TRIALS)}
    run = run_training(base, {"training": samples}, hyperparameters, feature_cache)
    assert run.status == 0, run.errors
    return run


def test_a_job_records_every_trial_and_its_artifact_is_the_winners(found: Run) -> None:
    trials = [record for record in found.records if record["kind"] == "trial"]
    assert len(trials) == TRIALS and all(t["hyperparameters"].keys() == {"lr", "batch-size"} for t in trials)
    kept = best(trials)
    training = json.loads((found.base / "model/model.json").read_text())["training"]
    assert kept["hyperparameters"].items() <= training["hyperparameters"].items()
    assert training["hyperparameters"]["epochs"] == 2
    result = found.record("result", split="validation")
    assert result["accuracy"] == kept["validation_accuracy"] and result["best_epoch"] == kept["best_epoch"]
    assert load_file(found.base / "model/model.safetensors")


def test_each_epochs_metrics_are_printed_exactly_once(found: Run) -> None:
    epochs = [record for record in found.records if record["kind"] == "epoch"]
    assert len(epochs) == 2
    for definition in METRIC_DEFINITIONS:
        numbers = [float(text) for text in re.findall(definition["Regex"], found.output)]
        # The metrics are printed with six digits.
        assert numbers == pytest.approx([epoch[definition["Name"].replace(":", "_")] for epoch in epochs], rel=1e-5)
    assert len(re.findall(rf"^trial \d of {TRIALS}: lr ", found.output, re.MULTILINE)) == TRIALS


def test_every_kind_of_record_of_a_search_is_described(found: Run) -> None:
    text = (Path(__file__).parents[2] / "docs" / "records.md").read_text()
    for record in found.records:
        for word in (record["kind"], *record):
            assert f"`{word}`" in text, (record["kind"], word)


def test_a_search_that_is_stopped_in_its_first_trial_keeps_what_that_has_learnt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop.requested.set()
    try:
        study = Study(tmp_path, {})
    finally:
        stop.requested.clear()
    # The stop came after one step of the first epoch, so the head has changed.
    assert not torch.equal(study.head[0].weight, fresh_head(study.config)[0].weight)
    assert capsys.readouterr().out.splitlines()[-1] == "kept trial 1"
    assert not study.trials and not study.epochs and study.best_epoch == 0
