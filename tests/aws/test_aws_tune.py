"""`byoc tune --on sagemaker`, `--best-of` and `byoc jobs`, beside a local SageMaker whose training program computes nothing."""

import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws.driver import BUCKET, TRAIN, TUNE, Driver, beside, read_until
from tests.sagemaker.conftest import ROLE


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with beside(tmp_path_factory.mktemp("tune")) as found:
        yield found


@pytest.fixture(scope="module")
def grid(driver: Driver) -> Any:
    """A search over two values, and what it has printed for a program."""
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
        (("--strategy", "Hyperband"), "--set epochs=20"),
        (("--strategy", "Hyperband", "--set", "epochs=4", "--early-stopping"), "arly"),
        (("--trials", "0"), "--trials is 0"),
        (("--range", "lr=1:2:3:4"), "write NAME=LOW:HIGH"),
        (("--set", "lr=1", "--set", "batch-size=1", "--set", "epochs=1"), "are all given"),
        (("--warm-start", "nobody"), "there is no such tuning job"),
        (("--name", "a-name-that-is-longer-than-aws-has-it"), "32"),
        (("--out", "here"), "--out is for train"),
        (("--override", "CreateTrainingJob.RetryStrategy={}"), "this verb does not send CreateTrainingJob"),
        (("--resume", "x"), "unrecognized"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(
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
    assert "they must be as many" in refused.stderr


def test_a_search_whose_jobs_all_fail_says_why(driver: Driver) -> None:
    done = driver.run(*TUNE, "--trials", "1", "--env", "DO=fail", status=1)
    assert "All training jobs failed" in done.stderr and "the photos are too dark" in done.stdout


def test_ctrl_c_leaves_the_search_running_until_it_is_stopped(driver: Driver) -> None:
    with driver.running(*TUNE, "--name", "left", "--trials", "4", "--env", "DO=wait") as process:
        read_until(process, "running")
        process.send_signal(signal.SIGINT)
        said = read_until(process, "stop it: byoc stop left")
        assert process.wait(60) == 130
    assert "tuning job left goes on in us-east-1 and bills until it ends" in said
    assert driver.json("stop", "left")[0]["state"] == "Stopped"


def test_jobs_lists_what_bills_first_with_what_it_has_cost(driver: Driver, grid: Any) -> None:
    driver.run(*TRAIN, "--name", "runs", "--env", "DO=wait", "--detach")
    rows = driver.json("jobs", "--most", "8")
    assert rows[0]["name"] == "runs" and rows[0]["state"] == "InProgress" and rows[0]["cost"] >= 0
    assert {row["kind"] for row in driver.json("jobs", "--name", "grid", "--most", "50")} == {"training", "tuning"}
    listed = driver.json("jobs", "--name", "grid", "--most", "50")
    [whole] = [row["cost"] for row in listed if row["kind"] == "tuning"]
    assert (
        whole == pytest.approx(sum(row["cost"] for row in listed if row["kind"] == "training"), abs=1e-4) and whole > 0
    )
    text = driver.run("jobs", "--name", "grid").stdout
    assert re.search(r"^grid +tuning +Completed .* 2 of 2 training jobs completed$", text, re.M)
    leftovers = driver.json("jobs", "--leftovers")
    assert [(item["kind"], item["end_it"]) for item in leftovers] == [("training job", "byoc stop runs")]
    driver.run("stop", "runs")
    assert driver.run("jobs", "--leftovers").stdout == "nothing bills in this region\n"


def test_jobs_asks_at_most_ten_times(driver: Driver, grid: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from launch.aws.session import Session

    asked: list[str] = []
    client = Session.client

    def counted(self: Session, service: str, region: str = "") -> Any:
        found = client(self, service, region)
        found.meta.events.register("before-send.*", lambda request, **_: asked.append(request.url), unique_id="counted")
        return found

    monkeypatch.setattr(Session, "client", counted)
    rows = driver.json("jobs", "--most", "50")
    assert len(rows) > 10 and len(asked) == 10


def test_a_warm_pool_is_a_leftover(driver: Driver) -> None:
    driver.run(*TRAIN, "--name", "pooled", "--keep-alive", "600")
    found = driver.json("jobs", "--leftovers")
    assert [(item["kind"], item["name"]) for item in found] == [("warm pool", "pooled")]
    driver.run(*TRAIN, "--name", "after", "--keep-alive", "1")  # takes the pool, and ends it


def test_an_endpoint_bills_and_what_it_has_lost_is_told(driver: Driver) -> None:
    sagemaker, s3 = driver.emulator.client("sagemaker"), driver.emulator.client("s3")
    address = driver.json(*TRAIN, "--name", "hosted")["artifact"]
    assert address == f"s3://{BUCKET}/byoc/output/hosted/output/model.tar.gz" and s3.head_bucket(Bucket=BUCKET)
    container = {"Image": "byoc-classifier-serve:cpu", "ModelDataUrl": address}
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "AllTraffic", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig={"Delay": 1})
    text = driver.run("jobs", "--leftovers").stdout
    assert text == (
        "endpoint e: InService, 0.23 USD an hour; byoc delete e\nthe endpoints with a price: 167.90 USD a month\n"
    )
    [row] = [row for row in driver.json("jobs") if row["kind"] == "endpoint"]
    assert row["name"] == "e" and row["cost"] > 0
    sagemaker.delete_model(ModelName="m")
    assert "the model m was deleted" in driver.run("jobs", "--leftovers").stdout
    sagemaker.delete_endpoint_config(EndpointConfigName="c")
    [lost] = driver.json("jobs", "--leftovers")
    assert "the configuration c was deleted, and AWS can no longer repair it" in lost["what"] and lost["hour"] is None
    assert "is not stopped but deleted: byoc delete e" in driver.run("stop", "e", status=1).stderr
    sagemaker.delete_endpoint(EndpointName="e")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig={"Delay": 1})


def test_another_region_is_another_account(driver: Driver) -> None:
    assert driver.run("jobs", "--region", "eu-central-1").stdout == "nothing runs and nothing ran in this region\n"


@pytest.mark.parametrize("verb", ["train", "tune", "jobs", "logs", "stop", "prices"])
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    from launch.cli import main

    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0 and f"\n  byoc {verb}" in capsys.readouterr().out.partition("examples:")[2]
