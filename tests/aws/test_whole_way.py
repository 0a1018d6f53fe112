"""Every verb on the local SageMaker with real photos, from upload to delete: the results equal those that this machine computes alone.

The test runs once with jobs and endpoints as processes, and once in Docker with this project's images.
"""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launch.predict import predict
from launch.server import serving
from launch.training import read_records
from tests.aws.driver import BYOC, with_real_programs
from tests.conftest import LITE

FIXED = {"precision": "fp32", "seed": "5"}
SEARCH = ["--strategy", "Grid", "--choice", "lr=0.00001,0.01", "--choice", "epochs=1,2", "--parallel", "2"]
ON = ["--on", "sagemaker", "--yes", "--backbone", LITE]
# One worker, since this machine may have few cores.
SMALL = "SAGEMAKER_MODEL_SERVER_WORKERS"
# Values that depend on the machine's speed, and not on the computation.
SPEED = ("images_per_second", "seconds", "time", "data_wait_share")
# Between two builds of torch and two numbers of threads, sums of fp32 differ in their last digits.
PLACES = [
    pytest.param("process", 0.0, marks=pytest.mark.long),
    pytest.param("docker", 1e-3, marks=[pytest.mark.docker, pytest.mark.long]),
]


def judged(base: Path) -> list[dict[str, Any]]:
    """Return a job's epochs and results, without values that depend on this machine's speed."""
    found = [record for record in read_records(base) if record["kind"] in ("result", "epoch")]
    return [{name: value for name, value in one.items() if not any(word in name for word in SPEED)} for one in found]


def same(found: Any, expected: Any, within: float) -> bool:
    """Return whether two JSON values are equal, with numbers that may differ by `within`."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name], within) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(
            same(one, other, within) for one, other in zip(found, expected, strict=True)
        )
    if isinstance(expected, float):
        return math.isclose(found, expected, abs_tol=within, rel_tol=within)
    return bool(found == expected)


def probabilities(ranking: list[dict[str, Any]]) -> dict[str, float]:
    """Return a photo's labels with their probabilities, since two equally likely labels may have any order."""
    return {entry["label"]: entry["probability"] for entry in ranking}


@pytest.mark.parametrize("place, within", PLACES)
def test_the_whole_way_on_sagemaker_comes_to_what_this_machine_computes_alone(
    tiny: Path, tmp_path: Path, place: str, within: float
) -> None:
    photos = sorted((tiny / "test").glob("*/*"))
    fixed = [f"--set={name}={value}" for name, value in FIXED.items()]
    with with_real_programs(tmp_path, place) as driver:
        uploaded = driver.json("data", "upload", str(tiny))
        assert uploaded["sent"] == len(list(tiny.glob("*/*/*")))
        data = ["--data", uploaded["uri"]]

        search = driver.json("tune", *ON, *data, "--name", "search", *SEARCH, *fixed)
        assert [trial["status"] for trial in search["trials"]] == ["Completed"] * 4
        assert search["best"]["value"] == max(trial["value"] for trial in search["trials"])

        trained = driver.json("train", *ON, *data, "--name", "best", "--best-of", "search", "--out", "trained")
        assert driver.describe("best")["HyperParameters"] == search["hyperparameters"]
        settings = [f"--set={name}={value}" for name, value in search["hyperparameters"].items()]
        alone: list[str | Path] = [BYOC, "train", "--data", tiny, "--out", tmp_path / "alone", *settings]
        cache = ["--feature-cache", str(tmp_path / "cache")]
        subprocess.run([*alone, *cache], env=driver.variables, check=True, capture_output=True)
        mine = judged(tmp_path / "alone")
        assert {record["kind"] for record in mine} == {"result", "epoch"}
        theirs = judged(driver.folder / "trained")
        assert same(theirs, mine, within), (theirs, mine)
        [last] = [record["validation_accuracy"] for record in mine if record["kind"] == "epoch"][-1:]
        assert same(search["best"]["value"], last, within)
        test = next(record for record in mine if record["kind"] == "result" and record["split"] == "test")
        assert same(trained["results"]["test"], {name: test[name] for name in ("accuracy", "count")}, within)
        with serving(tmp_path / "alone" / "model", 0, tmp_path / "server.txt") as url:
            expected = [probabilities(predict(url, photo)[0]) for photo in photos]

        def asked() -> list[dict[str, float]]:
            """Return the endpoint's answer to each photo."""
            entries = driver.json("predict", *map(str, photos), "--endpoint", "dogs")
            return [probabilities(entry["predictions"]) for entry in entries]

        deploy = ["deploy", "--endpoint", "dogs", "--yes", "--env", f"{SMALL}=1"]
        first = driver.json(*deploy, "best", "--photo", str(photos[0]))
        assert not first["updated"] and first["trial"]["label"] in expected[0]
        answers = asked()
        assert same(answers, expected, max(within, 1e-4)), (answers, expected)  # the endpoint's answers are rounded

        batch = tmp_path / "batch"
        batch.mkdir()
        for number, photo in enumerate(photos):
            (batch / f"{number}.jpg").write_bytes(photo.read_bytes())
        override = f'CreateModel.PrimaryContainer.Environment={{"{SMALL}": "1"}}'
        transform = ["transform", str(batch), "--model", "best", "--out", "answers", "--override", override, "--yes"]
        found = [probabilities(entry["predictions"][0]) for entry in driver.json(*transform)["answers"]]
        assert same(found, expected, max(within, 1e-4)), (found, expected)

        other = next(
            trial for trial in search["trials"] if trial["hyperparameters"]["lr"] != search["hyperparameters"]["lr"]
        )
        second = driver.json(*deploy, other["name"])
        assert second["updated"] and second["config"] != first["config"]
        assert not same(asked(), expected, max(within, 1e-4)), "the endpoint still serves the first model"
        back = driver.json("rollback", "dogs", "--yes")
        assert (back["config"], back["before"]) == (first["config"], second["config"])
        assert asked() == answers

        deleted = driver.json("delete", "dogs", "--yes")
        assert deleted["endpoints"] == ["dogs"] and len(deleted["models"]) == 2
        assert json.loads(driver.run("jobs", "--leftovers", "--json").stdout) == []
        assert driver.emulator.client("sagemaker").list_models()["Models"] == []
