"""Faults on demand: failures that happen on AWS, but never on this machine by themselves.

POST /_local/faults and `byoc emulate fault` order them.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from local_test.sagemaker.errors import ApiError, invalid

ANY = "*"
LONGEST = 86400  # the default delay of a fault, in seconds
# The name of each fault, with what it does and what its target is.
KINDS = {
    "interrupt": "takes the instances from a managed spot training job (target: the job, or its tuning job)",
    "no-capacity": "lets a job or endpoint find no instances: it fails, but a spot job first waits SECONDS (target: its name)",
    "internal-error": "ends a training or transform job with an internal error of AWS: the job fails, or is tried again (target: its name)",
    "image-missing": "lets a job or endpoint not find its image (target: its name)",
    "kill-container": "kills a container of an endpoint (target: the endpoint)",
    "quota": "refuses a Create action with ResourceLimitExceeded (target: the action)",
    "throttle": "refuses an action, such as CreateModel or InvokeEndpoint, with ThrottlingException (target: the action)",
    "server-error": "answers an action with status 500 (target: the action)",
    "expired-token": "refuses an action with ExpiredTokenException (target: the action)",
    "s3-slow": "lets a request to S3 wait SECONDS (target: the bucket)",
    "s3-error": "answers a request to S3 with 503 SlowDown (target: the bucket)",
}


@dataclass
class Fault:
    """A fault that was ordered; it strikes `times` times."""

    kind: str
    target: str = ANY
    times: int = 1
    seconds: float = 0.0


@dataclass
class Faults:
    """The faults that wait for their target."""

    _ordered: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, fault: Fault) -> None:
        """Order a fault, which strikes the next use of its target; raises ApiError for an unknown kind."""
        if fault.kind not in KINDS:
            raise invalid(f"there is no fault '{fault.kind}'; there are {', '.join(KINDS)}")
        with self._lock:
            self._ordered.append(fault)

    def take(self, kind: str, *targets: str) -> Fault | None:
        """Return and count the ordered fault of this kind that strikes one of the targets now; None if no such fault is ordered."""
        with self._lock:
            for fault in self._ordered:
                if fault.kind == kind and fault.target in (ANY, *targets):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._ordered.remove(fault)
                    return fault
        return None

    def listed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(vars(fault)) for fault in self._ordered]

    def clear(self) -> None:
        with self._lock:
            self._ordered.clear()

    def strike_action(self, name: str) -> None:
        """Raise the ApiError of a fault that was ordered for this action; the texts are those of AWS's common errors."""
        if name.startswith("Create") and self.take("quota", name):
            raise ApiError(
                "ResourceLimitExceeded", f"The account-level service limit for {name} was reached (ordered fault)"
            )
        if self.take("throttle", name):
            raise ApiError("ThrottlingException", "Rate exceeded")
        if self.take("expired-token", name):
            raise ApiError("ExpiredTokenException", "The security token included in the request is expired", 403)
        if self.take("server-error", name):
            raise ApiError("InternalFailure", "an internal error (ordered fault)", 500)

    def strike_s3(self, bucket: str) -> None:
        """If a fault was ordered for this bucket, wait or raise an ApiError."""
        if slow := self.take("s3-slow", bucket):
            time.sleep(slow.seconds)
        if self.take("s3-error", bucket):
            raise ApiError("SlowDown", "Please reduce your request rate.", 503)


def read(content: Any) -> Fault:
    """Return the fault that a JSON object describes; raises ApiError for a wrong object."""
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
        raise invalid(
            'a fault is a JSON object such as {"kind": "interrupt", "target": "my-job", "times": 1, "seconds": 0}'
        )
    unknown: Iterable[str] = content.keys() - vars(Fault("")).keys()
    if unknown := sorted(unknown):
        raise invalid(f"a fault has no member {', '.join(unknown)}")
    try:
        times, seconds = int(content.get("times", 1)), float(content.get("seconds", 0))
    except (TypeError, ValueError, OverflowError):
        raise invalid("times and seconds of a fault are numbers") from None
    if times < 1 or not 0 <= seconds <= LONGEST:
        raise invalid(f"times of a fault is at least 1, and seconds is from 0 to {LONGEST}")
    return Fault(kind=content["kind"], target=str(content.get("target", ANY)), times=times, seconds=seconds)
