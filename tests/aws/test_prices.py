"""Prices from AWS's list, quotas, and how plans use them. The lists have AWS's form; the server is a stand-in."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import ConfigError
from launch.aws import cost, prices, quotas
from launch.aws.prices import Prices
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import (
    Asynchronous,
    Hosting,
    Identity,
    Machines,
    Model,
    Range,
    Serverless,
    Training,
    Tuning,
)
from launch.cli import main
from tests.aws.standin import Refusal, Standin, answering

HOURS: Any = {
    "training": {"ml.m5.large": 0.1, "ml.g4dn.xlarge": 0.75},
    "hosting": {"ml.m5.large": 0.2},
    "transform": {"ml.m5.large": 0.3},
}
KNOWN = Prices("eu-central-1", HOURS, "USD", "2026-11-01", Path("prices.json"))
IDENTITY = Identity(role="arn:aws:iam::123456789012:role/r")


def product(usage: str, amount: str, currency: str = "USD", unit: str = "Hrs") -> str:
    """Return an entry of the price list in the form of GetProducts: JSON in a string."""
    dimension = {"unit": unit, "pricePerUnit": {currency: amount}, "description": f"for {usage}"}
    return json.dumps(
        {
            "product": {
                "productFamily": "ML Instance",
                "attributes": {"usagetype": usage, "servicecode": "AmazonSageMaker"},
            },
            "serviceCode": "AmazonSageMaker",
            "terms": {"OnDemand": {"SKU.TERM": {"priceDimensions": {"SKU.TERM.RATE": dimension}}}},
        }
    )


def pages(request: dict[str, Any]) -> dict[str, Any]:
    if "NextToken" not in request:
        first = [product("EUC1-Train:ml.m5.large", "0.1380000000"), product("EUC1-Notebk:ml.m5.large", "0.138")]
        return {"FormatVersion": "aws_v1", "PriceList": first, "NextToken": "more"}
    rest = [
        product("EUC1-Host:ml.m5.large", "0.14"),
        product("EUC1-Tsform:ml.m5.large", "0.15"),
        product("EUC1-AsyncInf:ml.m5.large", "0.16"),
        product("EUC1-Train:ml.g4dn.xlarge", "0.92"),
        product("EUC1-Host:ml.m5.xlarge", "1", unit="Quantity"),
    ]
    return {"FormatVersion": "aws_v1", "PriceList": rest}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, apart from the files of this machine's user."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_the_price_list_becomes_a_file_that_plans_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering({"GetProducts": pages}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", server.url)
        assert main(["prices", "--region", "eu-central-1"]) == 0
    printed = capsys.readouterr().out
    assert "ml.g4dn.xlarge      0.9200 USD an hour" in printed
    filters = {entry["Field"]: entry["Value"] for entry in server.asked[0][1]["Filters"]}
    assert filters == {"regionCode": "eu-central-1", "productFamily": "ML Instance"}
    found = prices.load(Settings(), "eu-central-1")
    assert found.file == home / "byoc" / "prices-eu-central-1.json"
    assert [found.hour(use, "ml.m5.large") for use in ("training", "hosting", "transform", "async")] == [
        0.138,
        0.14,
        0.15,
        0.16,
    ]
    assert found.hour("hosting", "ml.m5.xlarge") is None


def test_the_file_is_beside_byoc_toml_where_there_is_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "byoc.toml").write_text('region = "eu-central-1"\n')
    with answering({"GetProducts": pages}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", server.url)
        assert main(["prices", "--json"]) == 0
    assert (home / "prices-eu-central-1.json").exists()


def test_a_region_without_prices_is_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering({"GetProducts": lambda request: {"PriceList": []}}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", server.url)
        assert main(["prices", "--region", "eu-central-1"]) == 1
    assert "no instance of SageMaker in eu-central-1" in capsys.readouterr().err


def write(home: Path, **changes: Any) -> None:
    """Write a user's file of prices."""
    content = {"region": "eu-central-1", "currency": "USD", "read": f"{datetime.now(UTC):%Y-%m-%d}", "hours": HOURS}
    (home / "byoc").mkdir(exist_ok=True)
    (home / "byoc" / "prices-eu-central-1.json").write_text(json.dumps(content | changes))


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"region": "us-east-1"}, "its prices are for us-east-1"),
        ({"hours": {"training": {"ml.m5.large": -1}}}, "it contains the price -1"),
        ({"read": "yesterday"}, "yesterday"),
    ],
)
def test_prices_that_cannot_be_are_not_used(home: Path, changes: dict[str, Any], text: str) -> None:
    write(home, **changes)
    with pytest.raises(ConfigError, match=f"is not a price file .*{text}.*; run byoc prices, which writes a new one"):
        prices.load(Settings(), "eu-central-1")


def test_a_plan_names_the_day_of_old_prices(home: Path) -> None:
    said = []
    for day in (datetime.now(UTC), datetime(2020, 1, 1, tzinfo=UTC)):
        write(home, read=f"{day:%Y-%m-%d}")
        said.append(cost.hour(prices.load(Settings(), "eu-central-1"), "training", ["ml.m5.large"], 1).why)
    assert said == [
        "1 x ml.m5.large x 0.1 an hour",
        "1 x ml.m5.large x 0.1 an hour on 2020-01-01, which byoc prices renews,",
    ]


def test_a_damaged_price_file_is_reported(home: Path) -> None:
    (home / "byoc").mkdir()
    (home / "byoc" / "prices-eu-central-1.json").write_text("{}")
    with pytest.raises(ConfigError, match="run byoc prices"):
        prices.load(Settings(), "eu-central-1")


@pytest.mark.parametrize(
    "machines, jobs, amount",
    [
        (Machines(types=("ml.m5.large",), max_run=3600), 1, 0.1),
        (Machines(types=("ml.m5.large",), count=2, max_run=1800), 3, 0.3),
        (Machines(types=("ml.m5.large", "ml.g4dn.xlarge"), max_run=7200), 1, 1.5),
        (Machines(types=("ml.m5.large",), max_run=3600, keep_alive=1800), 1, 0.15),
        (Machines(types=("ml.m5.large",), max_run=3600, spot=True, max_wait=7200), 1, 0.1),
    ],
)
def test_a_jobs_bound_is_its_limit_on_the_most_expensive_of_its_types(
    machines: Machines, jobs: int, amount: float
) -> None:
    assert cost.job(KNOWN, "training", machines, jobs).amount == pytest.approx(amount)


def test_no_price_is_invented() -> None:
    bound = cost.job(KNOWN, "training", Machines(types=("ml.m5.large", "ml.p9.huge")))
    assert bound.amount is None and "no price of training on ml.p9.huge" in str(bound)
    assert "there is no price" in cost.hour(Prices("eu-central-1"), "training", ["ml.m5.large"], 1).why


def tuning(**changes: Any) -> Tuning:
    training = Training(
        name="t", image="i", identity=IDENTITY, machines=Machines(types=("ml.m5.large",)), channels=(), output="s3://b"
    )
    return dataclasses.replace(Tuning(training=training, ranges=(Range(name="lr"),), max_jobs=8, parallel=2), **changes)


def test_a_search_is_bound_by_all_its_jobs_or_by_its_own_limit() -> None:
    assert cost.tuning(KNOWN, tuning()).amount == pytest.approx(0.8)
    assert cost.tuning(KNOWN, tuning(max_run=3600)).amount == pytest.approx(0.2)
    assert cost.tuning(KNOWN, tuning(max_run=360000)).amount == pytest.approx(0.8)


def hosting(**changes: Any) -> Hosting:
    model = Model(name="m", image="i", identity=IDENTITY, data="s3://b/m.tar.gz")
    return dataclasses.replace(Hosting(endpoint="e", config="c", model=model, types=("ml.m5.large",)), **changes)


def test_an_endpoint_costs_by_the_month_and_at_its_highest_count() -> None:
    bound = cost.endpoint(KNOWN, hosting())
    assert bound.amount == pytest.approx(0.2 * 730) and bound.monthly and "a month" in str(bound)
    assert cost.endpoint(KNOWN, hosting(), most=4).amount == pytest.approx(0.8 * 730)
    assert cost.endpoint(KNOWN, hosting(asynchronous=Asynchronous(output="s3://b"))).amount == pytest.approx(0.2 * 730)
    assert cost.endpoint(KNOWN, hosting(serverless=Serverless())).amount is None


def quota(name: str, code: str, value: float) -> dict[str, Any]:
    return {"QuotaName": name, "QuotaCode": code, "Value": value, "ServiceCode": "sagemaker"}


LISTED = [
    quota("ml.m5.large for training job usage", "L-1", 4),
    quota("ml.g4dn.xlarge for spot training job usage", "L-2", 0),
]


def session(server: Standin, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", server.url)
    return Session(Settings(region="eu-central-1"))


def test_a_quotas_code_is_looked_for_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(request: dict[str, Any]) -> dict[str, Any]:
        return {"Quotas": LISTED[1:]} if "NextToken" in request else {"Quotas": LISTED[:1], "NextToken": "2"}

    answers = {"ListServiceQuotas": listed, "GetServiceQuota": lambda request: {"Quota": LISTED[0] | {"Value": 3}}}
    with answering(answers) as server:
        account = session(server, monkeypatch)
        [first] = quotas.read(account, "training", ["ml.m5.large"], 5)
        [second] = quotas.read(account, "training", ["ml.m5.large"], 2)
        [spot] = quotas.read(account, "spot training", ["ml.g4dn.xlarge"], 1)
    assert first.short and "4, and the plan needs 5" in str(first)
    assert not second.short and second.value == 3
    assert [action for action, _ in server.asked].count(
        "ListServiceQuotas"
    ) == 2  # one request for each of the two pages
    assert spot.name == "ml.g4dn.xlarge for spot training job usage"


def test_a_quota_that_aws_does_not_list_is_not_taken_for_enough(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering({"ListServiceQuotas": lambda request: {"Quotas": LISTED}}) as server:
        [found] = quotas.read(session(server, monkeypatch), "endpoint", ["ml.m5.large"], 1)
    assert found.value is None and "unverified" in str(found)


def test_a_quota_at_its_default_has_no_value_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("NoSuchResourceException", "The request failed because the specified service does not exist.")

    answers = {
        "ListServiceQuotas": lambda request: {"Quotas": LISTED},
        "GetServiceQuota": refuse,
        "GetAWSDefaultServiceQuota": lambda request: {"Quota": LISTED[0] | {"Value": 1}},
    }
    with answering(answers) as server:
        account = session(server, monkeypatch)
        quotas.read(account, "training", ["ml.m5.large"], 1)
        [found] = quotas.read(account, "training", ["ml.m5.large"], 1)
    assert found.value == 1


def test_a_user_who_may_not_read_quotas_learns_that_they_are_unverified(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("AccessDeniedException", "User: arn:aws:iam::1:user/u is not authorized")

    with answering({"ListServiceQuotas": refuse}) as server:
        [found] = quotas.read(session(server, monkeypatch), "training", ["ml.m5.large"], 1)
    assert (
        str(found)
        == "ml.m5.large for training job usage: unverified, you may not read quotas (servicequotas:ListServiceQuotas)"
    )
