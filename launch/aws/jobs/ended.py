"""How a job or an endpoint ended, and what goes on when we stop looking."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launch.aws.errors import AwsError, Detached
from launch.aws.jobs.kinds import KINDS, Kind, Name, state
from launch.aws.session import Session

GOOD = ("Completed", "InService")
# What an end's word means for the user, and what helps.
REMEDIES = {
    "CapacityError": "AWS had no such instance free; name several types, --instance a,b,c, or try again later",
    "MaxRuntimeExceeded": "it ran longer than --max-run; raise that, and go on from its checkpoints with --resume",
    "MaxWaitTimeExceeded": "spot instances did not come within --max-wait; raise that, or leave --spot out",
    "InternalServerError": "try again, or let AWS do so with --retries",
}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of a job, or of an endpoint's making: its last Describe, and the last lines of its log."""

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
        """Why it ended otherwise than well, in AWS's words."""
        return str(self.answer.get("FailureReason", ""))

    @property
    def artifact(self) -> str:
        """The S3 address of a training job's model; empty where there is none."""
        return str(self.answer.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""))

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric; JSON has no word for those that are not numbers, so they are left out."""
        found = {entry["MetricName"]: float(entry["Value"]) for entry in self.answer.get("FinalMetricDataList") or []}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    @property
    def seconds(self) -> int | None:
        """The seconds that are billed for each instance, where AWS says them."""
        return self.answer.get("BillableTimeInSeconds")

    def check(self) -> None:
        """Raise AwsError unless it ended well: with AWS's reason, what helps, and the last lines of the log."""
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
            lines.append(f"it left the model that it had: {self.artifact}")
        if self.tail and self.status != "Stopped":
            lines += ["its last lines:", *(f"  {line}" for line in self.tail)]
        raise AwsError("\n".join(lines), self.status)


@contextlib.contextmanager
def left_running(session: Session, kind: Name, name: str) -> Iterator[None]:
    """Let whoever stops the block by Ctrl-C know that a job or an endpoint goes on: raises Detached then."""
    try:
        yield
    except Detached:
        raise
    except KeyboardInterrupt as stop:
        raise Detached(goes_on(KINDS[kind], name, session.region), *stop.args) from None


def goes_on(kind: Kind, name: str, region: str) -> str:
    """Return what a user must know of something that nobody watches any more."""
    if kind.name == "endpoint":
        return (
            f"endpoint {name} goes on in {region} and bills until it is deleted\n"
            f"come back to it: byoc logs {name} --follow\n"
            f"delete it: byoc delete {name}"
        )
    return (
        f"{kind.title} {name} goes on in {region} and bills until it ends\n"
        f"come back to it: byoc logs {name} --follow\n"
        f"stop it: byoc stop {name}"
    )
