"""Real photos and the real training program: SageMaker and this machine compute the same."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from launch.training import read_records
from tests.aws.driver import BYOC, with_real_programs
from tests.conftest import LITE

SET = [f"--set={name}" for name in ("epochs=2", "precision=fp32", "seed=5", "lr=0.01")]
ON = ["--on", "sagemaker", "--yes", "--backbone", LITE]


def judged(base: Path) -> list[dict[str, Any]]:
    """Return a job's results and epochs, without values that depend on this machine's speed."""
    speed = ("images_per_second", "seconds", "time", "data_wait_share")
    found = [record for record in read_records(base) if record["kind"] in ("result", "epoch")]
    return [
        {name: value for name, value in record.items() if not any(word in name for word in speed)} for record in found
    ]


@pytest.mark.long
def test_a_job_on_sagemaker_computes_what_one_on_this_machine_does(tiny: Path, tmp_path: Path) -> None:
    with with_real_programs(tmp_path) as driver:
        here: list[str | Path] = [BYOC, "train", "--data", tiny, "--backbone", LITE, "--out", tmp_path / "here", *SET]
        subprocess.run(
            [*here, "--feature-cache", tmp_path / "cache"], env=driver.variables, check=True, capture_output=True
        )
        found = driver.json("train", "--data", str(tiny), "--out", str(tmp_path / "there"), *ON, *SET)
    assert found["status"] == "Completed"
    mine, theirs = judged(tmp_path / "here"), judged(tmp_path / "there")
    assert mine == theirs and {"result", "epoch"} == {record["kind"] for record in mine}
    weights = "model/model.safetensors"
    assert (tmp_path / "here" / weights).read_bytes() == (tmp_path / "there" / weights).read_bytes()
    assert (tmp_path / "here" / "report.html").is_file() and (tmp_path / "there" / "report.html").is_file()
    [test] = [record for record in theirs if record["kind"] == "result" and record["split"] == "test"]
    assert found["results"]["test"] == {"accuracy": test["accuracy"], "count": test["count"]}


@pytest.mark.long
def test_the_second_job_of_a_warm_pool_skips_the_feature_pass(tiny: Path, tmp_path: Path) -> None:
    with with_real_programs(tmp_path) as driver:
        train = ["train", "--data", str(tiny), "--keep-alive", "600", *ON, *SET[1:]]
        driver.json(*train, "--name", "cold", "--set=epochs=1")
        [cold] = driver.emulator.data.glob("pools/*/features/*/*.safetensors")
        written = cold.stat().st_mtime_ns
        driver.json(*train, "--name", "warm", "--set=epochs=2")
        [warm] = driver.emulator.data.glob("pools/*/features/*/*.safetensors")  # the second job has the warm pool now
        assert (warm.name, warm.stat().st_mtime_ns) == (cold.name, written), "features were computed again"
        assert driver.describe("cold")["WarmPoolStatus"]["ReusedByJob"] == "warm"


@pytest.mark.long
def test_a_search_on_sagemaker_finds_the_best_of_two_real_jobs(tiny: Path, tmp_path: Path) -> None:
    search = ["--strategy", "Grid", "--choice", "lr=0.00001,0.01", "--set=epochs=2", "--set=precision=fp32"]
    with with_real_programs(tmp_path) as driver:
        found = driver.json("tune", "--data", str(tiny), "--name", "two", *ON, *search)
        answer = driver.describe("two", "hyper_parameter_tuning_job", "HyperParameterTuningJobName")
    values = {trial["hyperparameters"]["lr"]: trial["value"] for trial in found["trials"]}
    assert values.keys() == {"0.00001", "0.01"} and found["best"]["value"] == max(values.values())
    assert answer["BestTrainingJob"]["TrainingJobName"] == found["best"]["name"]
    assert found["hyperparameters"]["backbone"] == LITE


@pytest.mark.long
def test_a_run_on_sagemaker_ends_with_what_its_endpoint_answers_to_test_photos(tiny: Path, tmp_path: Path) -> None:
    search = ["--strategy", "Grid", "--choice", "lr=0.00001,0.01", "--set=epochs=2", "--set=precision=fp32"]
    with with_real_programs(tmp_path) as driver:
        small = ["--serve-env", "SAGEMAKER_MODEL_SERVER_WORKERS=1"]  # this machine may have few cores
        run = driver.json("run", "--data", str(tiny), "--name", "all", "--out", "all", *ON, *search, *small)
        assert run["best_trial"]["value"] == run["training"]["metrics"]["validation:accuracy"]
        for name, value in run["best_trial"]["hyperparameters"].items():
            assert driver.describe("all-train")["HyperParameters"][name] == value
        [test] = [one for one in judged(driver.folder / "all") if one["kind"] == "result" and one["split"] == "test"]
        assert run["training"]["results"]["test"] == {"accuracy": test["accuracy"], "count": 4}
        answered = run["predictions"]
        assert {entry["truth"] for entry in answered} <= {"brick", "coffee"} and answered
        right = sum(entry["label"] == entry["truth"] for entry in answered)
        assert len(answered) < 4 or right == round(test["accuracy"] * 4), (
            "the endpoint serves another model than the one that was tested"
        )
        assert driver.json("delete", "--all-of-run", "all", "--yes")["endpoints"] == ["all"]
        assert driver.json("jobs", "--leftovers") == []
