"""The price in a report on a SageMaker job comes from --price or from `byoc prices`; no price is guessed."""

from pathlib import Path
from typing import Any

import pytest

from launch.aws import prices
from launch.aws.jobs.results import price_of
from launch.aws.prices import Prices
from launch.aws.settings import Settings
from reports.report import make
from reports.rules.cost import Price
from tests.reports.made import metrics


@pytest.fixture
def known(tmp_path: Path) -> Prices:
    settings = Settings(region="eu-central-1", file=tmp_path / "byoc.toml")
    hours: Any = {"training": {"ml.g4dn.xlarge": 0.9}, "hosting": {"ml.m5.large": 0.2}}
    prices.save(Prices("eu-central-1", hours, "EUR", "2026-11-01"), settings)
    return prices.load(settings, "eu-central-1")


def ended(**config: Any) -> dict[str, Any]:
    return {"ResourceConfig": config, "BillableTimeInSeconds": 1800}


def test_the_price_is_that_of_the_instances_that_the_job_ran_on(known: Prices, tmp_path: Path) -> None:
    job = ended(InstanceType="ml.m5.large", SelectedInstanceType="ml.g4dn.xlarge", InstanceCount=2)
    price = price_of(known, job)
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


def test_a_type_without_a_price_gets_none(known: Prices) -> None:
    assert price_of(known, ended(InstanceType="ml.m5.large")) is None
    assert price_of(known, {}) is None


def test_a_price_that_the_user_says_goes_before_the_list_and_is_for_a_known_type_alone() -> None:
    said = Prices("eu-central-1", said=2.5)
    price = price_of(said, ended(InstanceType="ml.m5.large", InstanceCount=3))
    assert price is not None and (price.hour, price.currency, price.source) == (2.5, "USD", "--price")
    assert (price.instances, price.billed_seconds) == (3, 1800)
    assert price_of(said, {}) is None
