"""`byoc report JOB`: a training or tuning job on a local SageMaker, while it runs, after it has ended and after it has failed."""

import json
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.driver import BUCKET, TRAIN, TUNE, Driver, beside, read_until
from tests.reports.made import healthy, write
from tests.reports.measuring import machine
from tests.sagemaker.conftest import ROLE, TRAIN_IMAGE
from tests.sagemaker.hosting import archive

GATED = Path(__file__).parent / "gated"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with beside(tmp_path_factory.mktemp("report")) as found:
        yield found


def records() -> bytes:
    """Return the output.tar.gz of a job with whole records."""
    return archive({"records.jsonl": "".join(json.dumps(one) + "\n" for one in healthy()).encode()})


def reported(driver: Driver, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Return what byoc report printed, and the facts that it wrote."""
    printed = driver.run("report", *arguments).stdout
    file = re.search(r"^facts: (.*)$", printed, re.M)
    assert file is not None
    return printed, json.loads((driver.folder / file[1]).read_text())


def section(facts: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in facts["sections"] if one["id"] == name)
    return found


def test_a_completed_job_is_reported_from_its_outputs_with_what_sagemaker_says_of_it(driver: Driver) -> None:
    driver.run(*TRAIN, "--name", "whole", "--set", "lr=0.125")
    key = "byoc/output/whole/output/output.tar.gz"
    driver.emulator.client("s3").put_object(Bucket=BUCKET, Key=key, Body=records())
    printed, facts = reported(driver, "whole")
    assert "95.8 % of the test photos are predicted rightly." in printed and "page: report-whole.html" in printed
    job = section(facts, "job")
    found = dict(job["facts"])
    assert found["Status"] == "Completed" and found["Instances"].startswith("1 x ml.m5.large, ")
    assert re.fullmatch(r"\d+ s( of \d+ s)? for each instance", found["Billed"])
    assert re.fullmatch(r"[\d.e-]+ USD, on demand", found["Cost"])
    assert found["Records"] == f"s3://{BUCKET}/byoc/output/whole/output.tar.gz/records.jsonl"
    assert {row[0] for row in next(t for t in job["tables"] if t["title"].startswith("Phases"))["rows"]} >= {"Training"}
    assert section(facts, "learning")["charts"] and not any("byoc-report-" in one for one in facts["missing"])


def test_a_failed_job_is_reported_with_its_reason_and_its_hyperparameters(driver: Driver) -> None:
    driver.run(*TRAIN, "--name", "dark", "--env", "DO=fail", "--set", "lr=0.5", status=1)
    printed, facts = reported(driver, "dark")
    assert "The training job is Failed: AlgorithmError: the photos are too dark" in printed
    [held] = [table for table in section(facts, "job")["tables"] if table["title"] == "Hyperparameters"]
    assert ["lr", "0.5"] in held["rows"]
    assert any("holds no records" in sentence for sentence in facts["missing"])


def test_without_a_price_no_cost_is_guessed(driver: Driver) -> None:
    driver.run(*TRAIN, "--name", "unpriced")
    prices = driver.folder / "prices-us-east-1.json"
    kept = prices.read_text()
    prices.unlink()
    try:
        _, facts = reported(driver, "unpriced")
    finally:
        prices.write_text(kept)
    assert dict(section(facts, "job")["facts"])["Cost"].startswith("unknown: there is no price")


def test_what_an_idle_gpu_of_a_job_cost_is_said_in_money_where_a_price_is_known(driver: Driver, tmp_path: Path) -> None:
    """The records are synthetic; the billed seconds, the instances and the price are those of the job that ran."""
    driver.run(*TRAIN, "--name", "idle", "--instance", "ml.g4dn.xlarge")
    folder = machine(write(tmp_path, healthy()), {"gpu0_percent": [3.0] * 600, "cpu0": [20.0] * 600})
    files = {path.name: path.read_bytes() for path in (folder / "output" / "data").iterdir()}
    key = "byoc/output/idle/output/output.tar.gz"
    driver.emulator.client("s3").put_object(Bucket=BUCKET, Key=key, Body=archive(files))
    billed = driver.describe("idle")["BillableTimeInSeconds"]

    def lost(*options: str) -> tuple[str, dict[str, Any]]:
        printed, facts = reported(driver, "idle", *options)
        return printed, next(one["cost"] for one in facts["judged"] if one["rule"] == "LowGPUUtilization")

    printed, cost = lost()
    assert cost["seconds"] == pytest.approx(0.97 * billed) and cost["currency"] == "USD"
    assert cost["money"] == pytest.approx(0.97 * billed / 3600 * 0.7364)
    assert re.search(r"LowGPUUtilization: .* It cost about [\d.e-]+ USD \(", printed)
    _, cost = lost("--price", "3600")
    assert cost["money"] == pytest.approx(0.97 * billed)
    prices = driver.folder / "prices-us-east-1.json"
    kept = prices.read_text()
    prices.unlink()
    try:
        assert lost()[1]["money"] is None
        _, facts = reported(driver, "idle", "--price", "3600")
    finally:
        prices.write_text(kept)
    assert [text for name, text in section(facts, "job")["facts"] if name == "Cost"] == [
        f"{billed:.2f} USD, by --price"
    ]


def test_a_tuning_job_is_reported_with_all_its_training_jobs(driver: Driver) -> None:
    driver.run(*TUNE, "--name", "grid", "--strategy", "Grid", "--choice", "lr=0.25,0.5", "--set", "epochs=1")
    printed, facts = reported(driver, "grid")
    job = section(facts, "job")
    found = dict(job["facts"])
    assert found["Tuning job"] == "grid" and found["Training jobs"] == "2, of which 2 completed"
    assert found["Objective"] == "validation:accuracy" and found["Cost"].endswith("USD, on demand")
    [trials] = [table for table in job["tables"] if table["title"] == "Training jobs of the tuning job"]
    assert {tuple(row[-2:-1]) for row in trials["rows"]} <= {("0.25",), ("0.5",)} and len(trials["rows"]) == 2
    assert [chart["id"] for chart in section(facts, "learning")["charts"]][:1] == ["trials"], printed


def test_a_name_that_nobody_knows_is_refused_with_where_it_was_looked_for(driver: Driver) -> None:
    said = driver.run("report", "nobody", status=1).stderr
    assert "nobody is neither a file nor a folder here, nor a training or tuning job in us-east-1" in said


def test_a_folder_goes_before_a_job_of_the_same_name(driver: Driver) -> None:
    driver.run(*TRAIN, "--name", "twice")
    (driver.folder / "twice").mkdir()
    assert "holds no records of a run" in driver.run("report", "twice", status=1).stderr


def test_outputs_that_may_not_be_read_are_missing_and_the_log_stands_in_for_them(driver: Driver) -> None:
    driver.run(*TRAIN, "--name", "cut", "--set", "epochs=2")
    s3 = driver.emulator.client("s3")
    for name in ("output", "model"):
        s3.put_object(Bucket=BUCKET, Key=f"byoc/output/cut/output/{name}.tar.gz", Body=b"\x1f\x8b\x08 cut off")
    _, facts = reported(driver, "cut")
    assert any("from its log" in sentence for sentence in facts["missing"])
    [curve] = [chart for chart in section(facts, "learning")["charts"] if chart["id"] == "loss"]
    assert curve["x"] == ["training 1", "training 2"]


def page(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def renewed(url: str, text: str) -> str:
    """Return the page once it holds a text; fails after five minutes."""
    until = time.monotonic() + 300
    while text not in (found := page(url)):
        assert time.monotonic() < until, f"{text!r} never came"
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_a_job_is_followed_by_the_metric_lines_of_its_log_to_its_end(tmp_path: Path) -> None:
    gate, place = tmp_path / "gate", tmp_path / "place"
    gate.mkdir()
    place.mkdir()
    with beside(place, "--hold", "0", programs=GATED) as driver:
        request = {
            "TrainingJobName": "live",
            "RoleArn": ROLE,
            "HyperParameters": {"epochs": "2", "lr": "0.01"},
            "AlgorithmSpecification": {"TrainingImage": TRAIN_IMAGE, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "Environment": {"GATE": str(gate)},
        }
        driver.emulator.client("sagemaker").create_training_job(**request)
        with driver.running("report", "live", "--follow") as process:
            url = read_until(process, "is kept up to date").split()[4]
            renewed(url, "The training job is InProgress")
            (gate / "1").touch()
            renewed(url, "Training: from 1 to 1, best 1 in epoch training 1")
            (gate / "2").touch()
            text = renewed(url, "81.2 % of the test photos")
            assert "Training: from 1 to 0.5, best 0.5 in epoch training 2" in text
            renewed(url, "<dt>Status</dt><dd>Completed</dd>")
            process.send_signal(signal.SIGINT)
            read_until(process, "page: report-live.html")
            assert process.wait(300) == 0
        assert "81.2 %" in (driver.folder / "report-live.html").read_text()
