"""The values on the page: jobs, endpoints, buckets and faults."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local_test.sagemaker import jobs
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.names import ENDPOINT
from local_test.sagemaker.logs import ENDPOINTS, TRAINING, TRANSFORM, Tail
from local_test.sagemaker.settings import REGION
from local_test.sagemaker.store import Resource
from local_test.sagemaker.tuning.results import TRIALS

MOST = 50  # the newest entries of each kind, unless the address asks for more


TRAINING_JOB, TRANSFORM_JOB = jobs.TRAINING.word, jobs.TRANSFORM.word
TITLES = {**{kind.word: f"{kind.spoken.capitalize()}s" for kind in jobs.KINDS.values()}, ENDPOINT: "Endpoints"}


@dataclass(frozen=True)
class Entry:
    """One job or endpoint."""

    name: str
    status: str
    phase: str
    created: str
    ended: str
    metrics: dict[str, float | str]  # text for numbers that JSON does not have, such as infinity
    details: dict[str, str]
    failure_reason: str
    tags: dict[str, str]
    stoppable: bool
    faults: tuple[str, ...]  # the faults that can strike this job or endpoint now
    training_jobs: tuple[str, ...]  # the training jobs of a tuning job


@dataclass(frozen=True)
class Overview:
    """One region, with the buckets and faults that all regions share."""

    region: str
    regions: list[str]
    entries: dict[str, list[Entry]]  # entries by kind, the newest first
    totals: dict[str, int]
    buckets: list[str]
    faults: list[dict[str, Any]]


def overview(cloud: Cloud, most: int) -> Overview:
    """Return what a region holds, with at most `most` entries of each kind."""
    newest = {
        kind: sorted(cloud.store.all(kind), key=lambda entry: float(entry.state["CreationTime"]), reverse=True)
        for kind in TITLES
    }
    return Overview(
        region=cloud.region,
        regions=regions(cloud),
        entries={kind: [_entry(cloud, resource) for resource in found[:most]] for kind, found in newest.items()},
        totals={kind: len(found) for kind, found in newest.items()},
        buckets=sorted(bucket.name for bucket in cloud.storage.index.buckets()),
        faults=cloud.faults.listed(),
    )


def regions(cloud: Cloud) -> list[str]:
    """Return the regions that hold resources, and the default region."""
    folders = {path.name for path in (cloud.settings.data / "resources").glob("*")}
    return sorted(folders | {REGION, cloud.region})


def log(cloud: Cloud, kind: str, name: str, lines: int) -> list[Tail]:
    """Return the last lines of each log stream of a job or endpoint."""
    groups = {TRAINING_JOB: TRAINING, TRANSFORM_JOB: TRANSFORM}
    if kind == ENDPOINT:
        return cloud.logs.tail(f"{ENDPOINTS}/{name}", "", lines)
    return cloud.logs.tail(groups[kind], f"{name}/", lines) if kind in groups else []


def moment(seconds: float | None) -> str:
    """Return a time in UTC as text; empty for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _entry(cloud: Cloud, resource: Resource) -> Entry:
    answer, job = cloud.store.snapshot(resource), jobs.KINDS.get(resource.kind)
    status = str(answer[job.status if job else "EndpointStatus"])
    return Entry(
        name=resource.name,
        status=status,
        phase=str(answer.get("SecondaryStatus", "")),
        created=moment(answer["CreationTime"]),
        ended=moment(answer.get(job.end) if job else None),
        metrics={entry["MetricName"]: _value(entry["Value"]) for entry in answer.get("FinalMetricDataList") or []},
        details=_details(answer),
        failure_reason=str(answer.get("FailureReason") or ""),
        tags=dict(resource.tags),
        stoppable=job is not None and status not in jobs.ENDS and status != "Stopping",
        faults=_faults(resource.kind, status, answer),
        training_jobs=tuple(trial["TrainingJobName"] for trial in answer.get(TRIALS) or []),
    )


def _value(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _details(answer: dict[str, Any]) -> dict[str, str]:
    """Return further details of an endpoint or a transform job."""
    details: dict[str, str] = {
        name: str(answer[name]) for name in ("EndpointConfigName", "ModelName") if name in answer
    }
    for variant in answer.get("ProductionVariants") or []:
        details[f"variant {variant['VariantName']}"] = _variant(variant)
    return details


def _variant(variant: dict[str, Any]) -> str:
    count = f", instances {variant['CurrentInstanceCount']}" if "CurrentInstanceCount" in variant else ""
    return f"weight {variant.get('CurrentWeight')}{count}"


def _faults(kind: str, status: str, answer: dict[str, Any]) -> tuple[str, ...]:
    if kind == TRAINING_JOB and status == "InProgress":
        return ("interrupt", "internal-error") if answer.get("EnableManagedSpotTraining") else ("internal-error",)
    if kind == TRANSFORM_JOB and status == "InProgress":
        return ("internal-error",)
    return ("kill-container",) if kind == ENDPOINT and status == "InService" else ()


# Control characters, with which a log could command a terminal; tabs are not among them.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def text(tails: Sequence[Tail]) -> str:
    """Return the last lines of log streams as plain text, each stream under its name."""
    parts = [f"==> {tail.stream} <==\n" + "".join(f"{line}\n" for line in tail.lines) for tail in tails]
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", "\n".join(parts))
