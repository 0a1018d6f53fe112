"""Describes how a job or an endpoint ended. Also makes the message for a user who stops following it before its end."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launch.aws.errors import AwsError, Detached
from launch.aws.jobs.kinds import KINDS, Kind, Name, state
from launch.aws.session import Session

GOOD = ("Completed", "InService")
# A remedy for each word that AWS's reasons may hold.
REMEDIES = {
    "CapacityError": "AWS had no such instance free; name several types, --instance a,b,c, or try again later",
    "MaxRuntimeExceeded": "it ran longer than --max-run; raise --max-run, and continue from its checkpoints with --resume",
    "MaxWaitTimeExceeded": "no spot instances were free within --max-wait; raise --max-wait, or leave --spot out",
    "InternalServerError": "try again, or let AWS try again with --retries",
}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of a job, or of the creation of an endpoint: the last answer of Describe, and the last lines of the log."""

    kind: Name
    name: str
    answer: Mapping[str, Any]
    tail: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        return state(KINDS[self.kind], self.answer)

    @property
    def good(self) -> bool:
        return self.status in GOOD

    @property
    def reason(self) -> str:
        """AWS's reason for a bad end; empty if AWS gives none."""
        return str(self.answer.get("FailureReason", ""))

    @property
    def artifact(self) -> str:
        """The S3 address of a training job's model; empty if there is none."""
        return str(self.answer.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""))

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric. Values that are not finite are left out, because JSON cannot hold them."""
        found = {entry["MetricName"]: float(entry["Value"]) for entry in self.answer.get("FinalMetricDataList") or []}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    @property
    def seconds(self) -> int | None:
        """The seconds that AWS bills for each instance; None if AWS does not report them."""
        return self.answer.get("BillableTimeInSeconds")

    def check(self) -> None:
        """Raise AwsError if the job or endpoint did not end well. The error holds AWS's reason, a remedy, and the last lines of the log."""
        if self.good:
            return
        secondary = str(self.answer.get("SecondaryStatus", ""))
        words = f"{secondary} {self.reason}"
        remedy = next((text for word, text in REMEDIES.items() if word in words), "")
        how = "was stopped" if self.status == "Stopped" else f"ended as {self.status}"
        if self.status == "Failed":
            how = "failed"
        why = self.reason or (secondary if secondary not in (self.status, "") else "")
        text = f"{KINDS[self.kind].title} {self.name} {how}{': ' + why if why else ''}"
        lines = [f"{text}; {remedy}" if remedy else text]
        if self.artifact:
            lines.append(f"the model so far is at {self.artifact}")
        if self.tail and self.status != "Stopped":
            lines += ["its last lines:", *(f"  {line}" for line in self.tail)]
        raise AwsError("\n".join(lines), self.status)


@contextlib.contextmanager
def left_running(session: Session, kind: Name, name: str) -> Iterator[None]:
    """Turn Ctrl-C in the block into Detached. Its text says that the job or the endpoint keeps running."""
    try:
        yield
    except Detached:
        raise
    except KeyboardInterrupt as stop:
        raise Detached(goes_on(KINDS[kind], name, session.region), *stop.args) from None


def goes_on(kind: Kind, name: str, region: str) -> str:
    """Return the message for a user who stops following a job or an endpoint."""
    if kind.name == "endpoint":
        return (
            f"endpoint {name} keeps running in {region} and costs money until it is deleted\n"
            f"follow it again: byoc logs {name} --follow\n"
            f"delete it: byoc delete {name}"
        )
    return (
        f"{kind.title} {name} keeps running in {region} and costs money until it ends\n"
        f"follow it again: byoc logs {name} --follow\n"
        f"stop it: byoc stop {name}"
    )
