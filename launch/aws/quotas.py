"""Quotas: how many instances AWS lets an account run at a time. byoc reads them before it sends a plan.

AWS names a quota by the instance type and its use, as in "ml.g4dn.xlarge for training job usage". Each quota has a code. byoc finds the
code in a list of about 2,000 entries and then keeps it in a file in the cache folder.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from botocore.config import Config

from launch.aws.errors import AwsError, explained
from launch.aws.session import Session

Use = Literal["training", "spot training", "warm pool", "endpoint", "transform"]
NAMES: dict[Use, str] = {
    "training": "{type} for training job usage",
    "spot training": "{type} for spot training job usage",
    "warm pool": "{type} for training warm pool usage",
    "endpoint": "{type} for endpoint usage",
    "transform": "{type} for transform job usage",
}
SERVICE, WHAT = "sagemaker", "the quotas"
PERMISSION = "servicequotas:ListServiceQuotas"
# Short time limits, because a plan should not wait for quotas as long as a job waits for its requests.
QUICK = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})


@dataclass(frozen=True)
class Quota:
    """One quota, and the number of instances that a plan needs.

    If the quota could not be read, `value` is None and `why` holds the reason.
    """

    name: str
    needed: int
    value: float | None
    why: str = ""

    @property
    def short(self) -> bool:
        """True if the plan needs more than the quota."""
        return self.value is not None and self.value < self.needed

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: unverified, {self.why}"
        if self.short:
            return (
                f"{self.name}: {self.value:g}, and the plan needs {self.needed}; ask for more in the console: Service Quotas, "
                "Amazon SageMaker, or use another type"
            )
        return f"{self.name}: {self.value:g}, the plan needs {self.needed}"


def read(session: Session, use: Use, types: Sequence[str], needed: int) -> list[Quota]:
    """Return the quota of each type. A request needs the quota of every type that it names."""
    names = [NAMES[use].format(type=kind) for kind in types]
    client = session.boto.client("service-quotas", region_name=session.region, config=QUICK)
    try:
        with explained(WHAT):
            values = _values(client, session.region, names)
    except AwsError as error:
        denied = error.code.startswith("AccessDenied")
        why = f"you may not read quotas ({PERMISSION})" if denied else str(error).removeprefix(f"{WHAT}: ")
        return [Quota(name=name, needed=needed, value=None, why=why) for name in names]
    return [
        Quota(
            name=name,
            needed=needed,
            value=values.get(name),
            why="" if name in values else "AWS lists no such quota; check the instance type",
        )
        for name in names
    ]


def _values(client: Any, region: str, names: Sequence[str]) -> dict[str, float]:
    """Return the quotas by name, without those that AWS does not list."""
    file = _file(region)
    codes = _known(file)
    if any(name not in codes for name in names):
        listed = {quota["QuotaName"]: quota for quota in _listed(client)}
        _keep(file, {name: quota["QuotaCode"] for name, quota in listed.items()})
        return {name: float(listed[name]["Value"]) for name in names if name in listed}
    return {name: _value(client, codes[name]) for name in names}


def _value(client: Any, code: str) -> float:
    """Return the value of a quota. A quota that was never changed has only a default value."""
    try:
        answer = client.get_service_quota(ServiceCode=SERVICE, QuotaCode=code)
    except client.exceptions.NoSuchResourceException:
        answer = client.get_aws_default_service_quota(ServiceCode=SERVICE, QuotaCode=code)
    return float(answer["Quota"]["Value"])


def _listed(client: Any) -> Iterator[dict[str, Any]]:
    pages = client.get_paginator("list_service_quotas").paginate(
        ServiceCode=SERVICE, PaginationConfig={"PageSize": 100}
    )
    for page in pages:
        yield from page["Quotas"]


def _file(region: str) -> Path:
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "byoc-classifier" / f"quotas-{region}.json"
    )


def _known(file: Path) -> Mapping[str, str]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(file: Path, codes: Mapping[str, str]) -> None:
    """Keep the codes for the next time. If the file cannot be written, byoc reads them from AWS again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(codes, indent=1, sort_keys=True) + "\n")
    except OSError:
        return
