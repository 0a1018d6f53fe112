"""`byoc tune --on sagemaker` and `--best-of`, with a local SageMaker whose training program computes nothing."""

import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws.driver import TRAIN, TUNE, Driver, beside, read_until


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with beside(tmp_path_factory.mktemp("tune")) as found:
        yield found


@pytest.fixture(scope="module")
def grid(driver: Driver) -> Any:
    """A search over two values, and its JSON output."""
    search = (
        "--strategy",
        "Grid",
        "--choice",
        "lr=0.25,0.5",
        "--set",
        "epochs=1",
        "--set",
        "seed=3",
        "--parallel",
        "1",
    )
    return driver.json(*TUNE, "--name", "grid", *search)


def names(driver: Driver) -> set[str]:
    found = driver.emulator.client("sagemaker").list_hyper_parameter_tuning_jobs(MaxResults=100)
    return {job["HyperParameterTuningJobName"] for job in found["HyperParameterTuningJobSummaries"]}


def test_the_best_trial_has_the_highest_accuracy(grid: Any) -> None:
    assert grid["status"] == "Completed"
    assert [trial["hyperparameters"] for trial in grid["trials"]] == [{"lr": "0.25"}, {"lr": "0.5"}]
    assert grid["best"]["value"] == 0.75
    assert grid["hyperparameters"] == {"lr": "0.25", "epochs": "1", "seed": "3"}


def test_its_table_has_a_row_for_each_trial_as_it_ends(driver: Driver, grid: Any) -> None:
    output = driver.run("logs", "grid", "--follow").stdout
    rows = [line.split() for line in output.splitlines() if re.search(r" grid-00[12]-", line)]
    assert [(row[2], row[3], row[5:]) for row in rows] == [
        ("Completed", "0.7500", ["lr", "0.25"]),
        ("Completed", "0.5000", ["lr", "0.5"]),
    ]
    assert "validation:accuracy" in output


def test_train_takes_what_the_best_trial_had(driver: Driver, grid: Any) -> None:
    output = driver.run(*TRAIN, "--name", "best", "--best-of", "grid", "--set", "epochs=3").stdout
    assert driver.describe("best")["HyperParameters"] == {"lr": "0.25", "epochs": "3", "seed": "3"}
    assert "test accuracy 0.7500" in output


def test_the_end_names_the_best_and_the_commands_that_come_next(driver: Driver) -> None:
    output = driver.run(*TUNE, "--name", "few", "--trials", "2", "--range", "lr=0.25:0.5", "--seed", "1").stdout
    best = re.search(r"^best: (few-00\d-[0-9a-f]+), validation:accuracy 0\.\d{4}, with lr 0\.\d+$", output, re.M)
    assert best and output.endswith(
        f"train with it: byoc train --on sagemaker --best-of few ...\ndeploy it: byoc deploy {best[1]}\n"
    )
    config = driver.describe("few", "hyper_parameter_tuning_job", "HyperParameterTuningJobName")
    assert config["HyperParameterTuningJobConfig"]["RandomSeed"] == 1


def test_the_plan_says_what_the_search_costs_as_one_job(driver: Driver) -> None:
    text = driver.run(*TUNE, "--dry-run", "--trials", "10", "--max-run", "3600").stdout
    assert "10 training jobs, 2 at a time" in text
    assert "lr 0.001 to 0.1 (log); batch-size 64 or 128; epochs 2 or 5" in text
    assert "byoc train --set search-trials=10, at most 0.12 USD instead of 1.15 USD" in text
    assert "at most 1.15 USD (10 jobs x 1 x ml.m5.large x 0.115 an hour x 1 h)" in text


def test_a_search_of_other_hyperparameters_is_not_compared(driver: Driver) -> None:
    assert "search-trials" not in driver.run(*TUNE, "--dry-run", "--range", "dropout=0:0.5").stdout


@pytest.mark.parametrize(
    "options, text",
    [
        (("--strategy", "Grid"), "write --choice lr=A,B instead"),
        (
            ("--strategy", "Grid", "--choice", "lr=0.1,0.2", "--choice", "epochs=1,2", "--trials", "3"),
            "needs 4 training jobs, and --trials is 3; pass --trials 4, or fewer values",
        ),
        (("--strategy", "Hyperband"), "--set epochs=20"),
        (("--without-improvement", "0"), "at least 3 is allowed (--without-improvement)"),
        (("--strategy", "Hyperband", "--set", "epochs=4", "--early-stopping"), "arly"),
        (("--trials", "0"), "--trials is 0"),
        (("--range", "lr=1:2:3:4"), "write NAME=LOW:HIGH"),
        (("--set", "lr=1", "--set", "batch-size=1", "--set", "epochs=1"), "all have fixed values"),
        (("--warm-start", "nobody"), "there is no such tuning job"),
        (("--name", "a-name-that-is-longer-than-aws-has-it"), "32"),
        (("--out", "here"), "pass --out to byoc train instead"),
        (("--override", "CreateTrainingJob.RetryStrategy={}"), "this verb does not send CreateTrainingJob"),
        (("--resume", "x"), "unrecognized"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_sent(
    driver: Driver, options: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(driver)
    if text == "unrecognized":
        with pytest.raises(SystemExit):
            driver.run(*TUNE, *options)
    else:
        assert text in driver.run(*TUNE, *options, status=1).stderr
    assert names(driver) == before


def test_hyperband_gives_epochs_between_one_and_those_that_are_set(driver: Driver) -> None:
    found = driver.json(*TUNE, "--dry-run", "--strategy", "Hyperband", "--set", "epochs=9")
    config = found["requests"][0]["request"]["HyperParameterTuningJobConfig"]
    assert config["StrategyConfig"]["HyperbandStrategyConfig"] == {"MinResource": 1, "MaxResource": 9}


def test_a_warm_start_learns_from_its_parent(driver: Driver, grid: Any) -> None:
    search = (
        "--choice",
        "lr=0.25,0.5",
        "--set",
        "epochs=1",
        "--set",
        "seed=3",
        "--trials",
        "1",
        "--strategy",
        "Random",
    )
    found = driver.json(*TUNE, "--name", "warm", "--warm-start", "grid", *search)
    assert found["status"] == "Completed" and found["best"]["value"] == 0.75
    described = driver.describe("warm", "hyper_parameter_tuning_job", "HyperParameterTuningJobName")
    assert described["WarmStartConfig"]["WarmStartType"] == "IdenticalDataAndAlgorithm"
    refused = driver.run(*TUNE, "--warm-start", "grid", "--choice", "lr=0.25,0.5", status=1)
    assert "the numbers must be equal" in refused.stderr


def test_a_search_whose_jobs_all_fail_says_why(driver: Driver) -> None:
    done = driver.run(*TUNE, "--trials", "1", "--env", "DO=fail", status=1)
    assert "All training jobs failed" in done.stderr and "the photos are too dark" in done.stdout


def test_ctrl_c_leaves_the_search_running_until_it_is_stopped(driver: Driver) -> None:
    with driver.running(*TUNE, "--name", "left", "--trials", "4", "--env", "DO=wait") as process:
        read_until(process, "running")
        process.send_signal(signal.SIGINT)
        said = read_until(process, "stop it: byoc stop left")
        assert process.wait(300) == 130
    assert "tuning job left keeps running in us-east-1 and costs money until it ends" in said
    assert driver.json("stop", "left")[0]["state"] == "Stopped"


@pytest.mark.parametrize("verb", ["train", "tune", "jobs", "logs", "stop", "prices"])
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    from launch.cli import main

    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0 and f"\n  byoc {verb}" in capsys.readouterr().out.partition("examples:")[2]
