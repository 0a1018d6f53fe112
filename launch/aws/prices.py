"""`byoc prices`: reads the hourly price of each instance type from AWS's price list, and writes it into a file that plans use.

The file is prices-<region>.json beside byoc.toml, or in ~/.config/byoc if there is no byoc.toml. No price is guessed for a
type that is not in the file.
"""

import json
import math
import os
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from classifier.errors import ConfigError
from launch.aws import settings as account_settings
from launch.aws.errors import explained
from launch.aws.session import Session
from launch.aws.settings import Settings

Use = Literal["training", "hosting", "async", "transform"]
# The region whose price list covers all regions. Usage types of this region have names like USE1-Train:ml.m5.large.
LIST_REGION = "us-east-1"
SERVICE = "AmazonSageMaker"
USES: dict[str, Use] = {"Train": "training", "Host": "hosting", "AsyncInf": "async", "Tsform": "transform"}
OLD = 180  # the age in days from which a plan also shows the day of its prices
USAGE = re.compile(r"(?:[A-Z0-9]+-)?(Train|Host|AsyncInf|Tsform):(ml\.[a-z0-9-]+\.[a-z0-9]+)")


@dataclass(frozen=True)
class Prices:
    """The hourly prices of one region. They are empty if no file was read and the user gives no price."""

    region: str
    hours: Mapping[Use, Mapping[str, float]] = field(default_factory=dict)
    currency: str = "USD"
    read: str = ""  # the day on which the list was read from AWS
    file: Path | None = None
    said: float | None = None  # the user's own price for an hour of any type

    @property
    def source(self) -> str:
        """The source of the price in words: the option --price, or the name of the price file."""
        return "--price" if self.said is not None else f"on demand, {self.file.name if self.file else 'byoc prices'}"

    @property
    def old(self) -> bool:
        """True if the list is so old that the prices may have changed."""
        return bool(self.read) and (datetime.now(UTC).date() - date.fromisoformat(self.read)).days > OLD

    def hour(self, use: Use, kind: str) -> float | None:
        """Return the hourly price of an instance type; None if neither the user nor the file has a price for it."""
        if self.said is not None and kind:
            return self.said
        found = self.hours.get(use, {}).get(kind)
        if found is None and use == "async":  # some types have no price of their own for asynchronous endpoints
            return self.hours.get("hosting", {}).get(kind)
        return found


def load(settings: Settings, region: str) -> Prices:
    """Return the prices of a region. They are empty if there is no file yet. Raises ConfigError for a damaged file."""
    for file in _places(settings, region):
        if file.is_file():
            return _read(file, region)
    return Prices(region)


def fetch(session: Session) -> Prices:
    """Read the prices of every instance type of the session's region from AWS's price list. Raises AwsError."""
    hours: dict[Use, dict[str, float]] = {use: {} for use in USES.values()}
    currency = "USD"
    for product in _products(session):
        match = USAGE.fullmatch(product["product"]["attributes"].get("usagetype", ""))
        price = _hourly(product)
        if match and price:
            currency, amount = price
            use, kind = USES[match[1]], match[2]
            hours[use][kind] = max(amount, hours[use].get(kind, 0.0))
    return Prices(region=session.region, hours=hours, currency=currency, read=f"{datetime.now(UTC):%Y-%m-%d}")


def save(prices: Prices, settings: Settings) -> Path:
    """Write the file and return where it is."""
    file = _places(settings, prices.region)[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"region": prices.region, "currency": prices.currency, "read": prices.read, "hours": prices.hours}
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    new.replace(file)
    return file


def command(options: Namespace) -> int:
    """`byoc prices`."""
    settings = account_settings.load(options)
    session = Session(settings)
    prices = fetch(session)
    count = sum(len(types) for types in prices.hours.values())
    if not count:
        raise ConfigError(f"AWS's price list has no instance of SageMaker in {session.region}; correct --region")
    file = save(prices, settings)
    wanted: tuple[tuple[Use, tuple[str, ...]], ...] = (
        ("training", settings.train_types),
        ("hosting", settings.serve_types),
        ("transform", settings.transform_types),
    )
    rows = [{"use": use, "type": kind, "hour": prices.hour(use, kind)} for use, types in wanted for kind in types]
    if options.json:
        print(json.dumps({"file": str(file), "region": prices.region, "currency": prices.currency, "prices": rows}))
        return 0
    for row in rows:
        price = "no price" if row["hour"] is None else f"{row['hour']:.4f} {prices.currency} an hour"
        print(f"{row['use']:<10}{row['type']:<20}{price}")
    print(f"{count} prices of {prices.region} are in {file}; the types above are those in byoc.toml")
    return 0


def _places(settings: Settings, region: str) -> list[Path]:
    """Return the paths where the file may be. byoc writes to the first of them."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "byoc"
    folders = [settings.file.parent, home] if settings.file else [home]
    return [folder / f"prices-{region}.json" for folder in folders]


def _read(file: Path, region: str) -> Prices:
    try:
        content = json.loads(file.read_text())
        hours = {
            use: {str(kind): float(hour) for kind, hour in content["hours"].get(use, {}).items()}
            for use in USES.values()
        }
        if content["region"] != region:
            raise ValueError(f"its prices are for {content['region']}")
        if wrong := [hour for types in hours.values() for hour in types.values() if not 0 <= hour < math.inf]:
            raise ValueError(f"it contains the price {wrong[0]:g}")
        read = str(date.fromisoformat(content["read"]))
        return Prices(region=region, hours=hours, currency=str(content["currency"]), read=read, file=file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is not a price file ({error}); run byoc prices, which writes a new one") from None


def _products(session: Session) -> Iterator[dict[str, Any]]:
    filters = {"regionCode": session.region, "productFamily": "ML Instance"}
    with explained("AWS's price list"):
        pages = (
            session.client("pricing", LIST_REGION)
            .get_paginator("get_products")
            .paginate(
                ServiceCode=SERVICE,
                FormatVersion="aws_v1",
                Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()],
            )
        )
        for page in pages:
            for text in page["PriceList"]:
                yield json.loads(text)


def _hourly(product: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the currency and the on-demand price of an hour, which is the highest if there are several.

    None for a product that is not billed by the hour.
    """
    found = []
    for offer in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in offer["priceDimensions"].values():
            if dimension.get("unit", "").lower() in ("hrs", "hours", "hour"):
                found += [(currency, float(amount)) for currency, amount in dimension["pricePerUnit"].items()]
    return max(found, key=lambda price: price[1], default=None)
