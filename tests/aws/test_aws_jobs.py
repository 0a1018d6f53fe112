"""`byoc jobs` with a local SageMaker: what runs or ran, what it has cost, and what still costs money."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from launch.aws.session import Session
from tests.aws.driver import BUCKET, PROGRAMS, TRAIN, TUNE, Driver, beside, wait_for
from tests.sagemaker.conftest import ROLE, emulate

MANY = 10_000


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with beside(tmp_path_factory.mktemp("jobs")) as found:
        yield found


@pytest.fixture(scope="module")
def grid(driver: Driver) -> None:
    """A search over two values."""
    driver.run(*TUNE, "--name", "grid", "--strategy", "Grid", "--choice", "lr=0.25,0.5", "--set", "epochs=1")


@pytest.fixture(scope="module")
def crowded(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """An account with 10,000 training jobs: one that ran before, and copies of the local SageMaker's file about it."""
    driver.run(*TRAIN, "--name", "job-00000")
    [path] = (driver.emulator.data / "resources").glob("*/training-job/job-00000.json")
    kept, folder = json.loads(path.read_text()), tmp_path_factory.mktemp("crowded")
    jobs = folder / "data" / path.parent.relative_to(driver.emulator.data)
    jobs.mkdir(parents=True)
    for number in range(MANY):
        name = f"job-{number:05}"
        text = json.dumps(kept | {"state": kept["state"] | {"CreationTime": kept["state"]["CreationTime"] - number}})
        (jobs / f"{name}.json").write_text(text.replace("job-00000", name))
    running = emulate(folder / "data", "--programs", str(PROGRAMS))
    yield Driver(running, folder / "work")
    assert running.end() == 130, running.output.read_text()


def jobs(driver: Driver, *arguments: str) -> tuple[Any, list[str]]:
    """Return the list of `byoc jobs`, and the address of each request that it has sent."""
    asked: list[str] = []
    client = Session.client

    def counted(self: Session, service: str, region: str = "") -> Any:
        found = client(self, service, region)
        found.meta.events.register("before-send.*", lambda request, **_: asked.append(request.url), unique_id="counted")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "client", counted)
        return driver.json("jobs", *arguments), asked


def test_jobs_asks_at_most_ten_times_in_an_account_of_10_000_jobs(crowded: Driver) -> None:
    oldest = {"SortBy": "CreationTime", "SortOrder": "Ascending", "MaxResults": 1}
    [first] = crowded.emulator.client("sagemaker").list_training_jobs(**oldest)["TrainingJobSummaries"]
    assert first["TrainingJobName"] == f"job-{MANY - 1:05}", "the account does not hold all jobs"
    rows, asked = jobs(crowded, "--most", "50")
    assert [row["name"] for row in rows] == [f"job-{number:05}" for number in range(50)], (
        "not the newest jobs are listed"
    )
    assert len(asked) == 10 and [row["cost"] is not None for row in rows] == [True] * 6 + [False] * 44
    rows, asked = jobs(crowded)
    assert len(rows) == 20 and len(asked) == 10


def test_jobs_lists_first_what_still_costs_money_with_what_it_has_cost(driver: Driver, grid: Any) -> None:
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
    assert driver.run("jobs", "--leftovers").stdout == "nothing costs money in this region\n"


def test_a_warm_pool_is_a_leftover(driver: Driver) -> None:
    driver.run(*TRAIN, "--name", "pooled", "--keep-alive", "600")
    found = driver.json("jobs", "--leftovers")
    assert [(item["kind"], item["name"]) for item in found] == [("warm pool", "pooled")]
    driver.run(*TRAIN, "--name", "after", "--keep-alive", "1")  # uses the warm pool, which then ends after a second
    wait_for(lambda: driver.json("jobs", "--leftovers") == [])


def test_an_endpoint_costs_money_and_what_it_has_lost_is_reported(driver: Driver) -> None:
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
    [row], asked = jobs(driver, "--name", "e", "--most", "1")
    assert row["kind"] == "endpoint" and row["name"] == "e" and row["cost"] > 0
    assert len(asked) == 6, "not exactly four lists and two requests for the endpoint's price"
    [row], asked = jobs(driver, "--name", "e", "--most", "1", "--calls", "5")
    assert row["cost"] is None and len(asked) == 4
    sagemaker.delete_model(ModelName="m")
    assert "the model m was deleted" in driver.run("jobs", "--leftovers").stdout
    sagemaker.delete_endpoint_config(EndpointConfigName="c")
    [lost] = driver.json("jobs", "--leftovers")
    assert (
        "the configuration c was deleted, so AWS can no longer repair the endpoint" in lost["what"]
        and lost["hour"] is None
    )
    assert "is an endpoint, which can only be deleted: byoc delete e" in driver.run("stop", "e", status=1).stderr
    sagemaker.delete_endpoint(EndpointName="e")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig={"Delay": 1})


def test_another_region_is_another_account(driver: Driver) -> None:
    assert driver.run("jobs", "--region", "eu-central-1").stdout == "there are no jobs or endpoints in this region\n"


LONG = "an-endpoint-whose-name-is-longer-than-that-of-a-tuning-job"


@pytest.mark.parametrize("name", ["two words", "http://127.0.0.1:8080", LONG, "x" * 64])
def test_a_name_that_a_kind_of_job_cannot_have_is_missing_and_no_refusal_of_aws(driver: Driver, name: str) -> None:
    for verb in ("logs", "stop"):
        said = driver.run(verb, name, status=1).stderr
        assert said.startswith(f"byoc: no training job, tuning job, transform job or endpoint is called {name} in ")
    for verb in ("endpoints", "rollback"):
        assert driver.run(verb, name, status=1).stderr.startswith(f"byoc: there is no endpoint {name} in ")
    assert driver.run("delete", name, status=1).stderr.startswith(
        "byoc: no endpoint, configuration or model is called "
    )
    assert "there is no such tuning job" in driver.run(*TRAIN, "--best-of", name, "--dry-run", status=1).stderr
