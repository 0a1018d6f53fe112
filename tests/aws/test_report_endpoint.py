"""`byoc report --endpoint NAME`: an endpoint of a local SageMaker, from the metrics that its CloudWatch keeps."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from launch.aws.reports.endpoint import DAY, HOUR, MINUTE, period_of
from tests.aws.driver import BUCKET, SERVED, Driver, beside
from tests.sagemaker.hosting import archive

GOOD, BAD = b"\xff\xd8 a photo", b"no photo"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A user of an endpoint that has answered five photos and refused two."""
    with beside(tmp_path_factory.mktemp("watched"), programs=SERVED) as found:
        text = (found.folder / "byoc.toml").read_text()
        (found.folder / "byoc.toml").write_text(
            text.replace("[images]", '[images]\nserve = "byoc-classifier-serve:cpu"')
        )
        content = archive({"name": b"cat", "model.json": b"{}"})
        found.emulator.client("s3").put_object(Bucket=BUCKET, Key="made/model.tar.gz", Body=content)
        deploy = ["deploy", f"s3://{BUCKET}/made/model.tar.gz", "--endpoint", "dogs", "--yes", "--sender", "boto3"]
        found.run(*deploy, "--autoscale", "1:3")
        runtime = found.emulator.client("sagemaker-runtime")
        for body in [GOOD] * 5 + [BAD] * 2:
            try:
                runtime.invoke_endpoint(EndpointName="dogs", Body=body, ContentType="image/jpeg")
            except runtime.exceptions.ModelError:
                assert body == BAD
        yield found


def facts(driver: Driver, *arguments: str) -> dict[str, Any]:
    driver.run("report", "--endpoint", "dogs", *arguments, "--out", "seen.html")
    found: dict[str, Any] = json.loads((driver.folder / "seen.json").read_text())
    return found


@pytest.mark.slow
def test_an_endpoints_requests_errors_and_latency_are_those_of_cloudwatch(driver: Driver) -> None:
    found = facts(driver)
    [section] = found["sections"]
    held = dict(section["facts"])
    # The deployment sent one request to see whether the endpoint answers.
    assert held["Invocations"] == "8" and held["Errors 4xx"] == "2 (25 %)" and held["Errors 5xx"] == "0"
    assert held["Status"] == "InService" and held["Instances"] == "AllTraffic: 1 x ml.m5.large"
    assert held["Autoscaling"] == "1 to 3 instances" and held["Latency"].startswith("model: p50 ")
    assert {chart["title"] for chart in section["charts"]} >= {"Invocations and errors", "Latency by part, p99"}
    missing = " ".join(section["missing"])
    assert "no CPUUtilization" in missing, "the local CloudWatch does not keep this metric"
    assert "Scaling events are unknown" in missing


@pytest.mark.slow
def test_since_narrows_the_time(driver: Driver) -> None:
    time.sleep(1.1)
    assert dict(facts(driver, "--since", "2d")["sections"][0]["facts"])["Covers"].endswith("in periods of 10 min")
    assert dict(facts(driver, "--since", "3h")["sections"][0]["facts"])["Covers"].endswith("in periods of 1 min")
    for text, words in (("soon", "write 90s"), ("2200-01-01T00:00", "is not in the past")):
        said = driver.run("report", "--endpoint", "dogs", "--since", text, status=1).stderr
        assert words in said


def test_an_endpoint_that_is_not_there_is_refused(driver: Driver) -> None:
    said = driver.run("report", "--endpoint", "cats", status=1).stderr
    assert "there is no endpoint cats in us-east-1; byoc endpoints lists the endpoints" in said


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(HOUR, MINUTE), (5 * HOUR, MINUTE), (DAY, 5 * MINUTE), (20 * DAY, 100 * MINUTE), (90 * DAY, 8 * HOUR)],
)
def test_a_period_is_one_that_cloudwatch_keeps_and_few_enough_to_draw(age: int, seconds: int) -> None:
    period = period_of(0.0, float(age))
    assert period == seconds and age / period <= 300
