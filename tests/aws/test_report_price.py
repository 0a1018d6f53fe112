"""The price that the report on a job of SageMaker's is made with: that of the file of `byoc prices`, and none that is guessed."""

from pathlib import Path
from typing import Any

import pytest

from launch.aws import prices
from launch.aws.jobs.ended import Ended
from launch.aws.jobs.results import price_of
from launch.aws.prices import Prices
from launch.aws.session import Session
from launch.aws.settings import Settings
from reports.report import make
from reports.rules.cost import Price
from tests.reports.made import metrics


@pytest.fixture
def session(tmp_path: Path) -> Session:
    settings = Settings(region="eu-central-1", file=tmp_path / "byoc.toml")
    known = Prices(
        "eu-central-1", {"training": {"ml.g4dn.xlarge": 0.9}, "hosting": {"ml.m5.large": 0.2}}, "EUR", "2026-11-01"
    )
    prices.save(known, settings)
    return Session(settings)


def ended(**config: Any) -> Ended:
    return Ended(kind="training", name="dogs", answer={"ResourceConfig": config, "BillableTimeInSeconds": 1800})


def test_the_price_is_that_of_the_instances_that_the_job_ran_on(session: Session, tmp_path: Path) -> None:
    job = ended(InstanceType="ml.m5.large", SelectedInstanceType="ml.g4dn.xlarge", InstanceCount=2)
    price = price_of(session, job)
    assert price == Price(
        hour=0.9,
        currency="EUR",
        source="on demand, prices-eu-central-1.json",
        instances=2,
        instance_type="ml.g4dn.xlarge",
        billed_seconds=1800,
    )
    report = make(metrics(tmp_path / "job", [3] * 600, [97] * 600), price)
    facts = dict(next(section for section in report.sections if section.id == "job").facts)
    assert facts["Cost"].startswith(
        "about 0.90 EUR (30.0 min on each of 2 instances), at 0.9 EUR an hour of ml.g4dn.xlarge"
    )
    assert report.headline.endswith("a GPU waits for the processor, which cost about 0.90 EUR.")


def test_a_type_without_a_price_gets_none(session: Session) -> None:
    assert price_of(session, ended(InstanceType="ml.m5.large")) is None
    assert price_of(session, Ended(kind="training", name="dogs", answer={})) is None
