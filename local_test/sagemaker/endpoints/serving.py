"""The fleets of the endpoints that are in service, by the endpoints' ARNs."""

import random
import threading
from typing import TYPE_CHECKING

from local_test.sagemaker.endpoints.fleet import Fleet, Variant

if TYPE_CHECKING:  # these two modules import this one
    from local_test.sagemaker.endpoints.asynchronous import Queue
    from local_test.sagemaker.endpoints.capture import Capture


class Serving:
    """An endpoint in service: its fleet, and the new fleet while an update shifts the traffic to it."""

    def __init__(self, fleet: Fleet, capture: "Capture | None", queue: "Queue | None") -> None:
        self.fleet = fleet
        self.capture = capture
        self.queue = queue
        self.incoming: Fleet | None = None
        self.share = 0.0  # the share of the traffic that the incoming fleet gets

    def choose(self, target: str | None) -> Variant | None:
        """Return the variant for the next invocation, or None if no variant has this name."""
        incoming = self.incoming
        fleet = incoming if incoming and random.random() < self.share else self.fleet
        return fleet.choose(target)

    @property
    def serverless(self) -> bool:
        return any(variant.serverless for variant in self.fleet.variants.values())

    @property
    def asynchronous(self) -> bool:
        return bool(self.fleet.config.get("AsyncInferenceConfig"))


_SERVING: dict[str, Serving] = {}
_LOCK = threading.Lock()


def serving(arn: str) -> Serving | None:
    with _LOCK:
        return _SERVING.get(arn)


def put_in_service(arn: str, endpoint: Serving) -> Serving | None:
    """Put an endpoint into service, and return what served it before."""
    with _LOCK:
        before = _SERVING.get(arn)
        _SERVING[arn] = endpoint
        return before


def take_out_of_service(arn: str) -> Serving | None:
    with _LOCK:
        return _SERVING.pop(arn, None)
