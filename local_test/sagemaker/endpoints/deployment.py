"""Creates, updates, scales and deletes endpoints. An update starts a new fleet beside the old one."""

import time
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.asynchronous import Queue
from local_test.sagemaker.endpoints.capture import Capture
from local_test.sagemaker.endpoints.fleet import Fleet, GivenUp, NotServing
from local_test.sagemaker.endpoints.serving import Serving, put_in_service, serving, take_out_of_service
from local_test.sagemaker.endpoints.status import CONFIG, Config, enter, in_service, status
from local_test.sagemaker.settings import ACCOUNT
from local_test.sagemaker.store import Resource

STEP = 0.1
# AWS's text, from reports of users.
NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a different "
    "ML instance type or after some time."
)


class Deployment:
    """Carries out one request about an endpoint. Each method runs in its own thread, and returns when the endpoint has settled."""

    def __init__(self, cloud: Cloud, resource: Resource) -> None:
        self._cloud = cloud
        self._resource = resource
        self._name = resource.name

    def create(self, config: Config) -> None:
        """Start the fleet; the endpoint is InService when all its instances answer /ping, else Failed."""
        fleet = Fleet(self._cloud, self._name, config)
        try:
            self._ready(fleet)
        except NotServing as error:
            fleet.end()
            enter(self._cloud, self._resource, "Failed", FailureReason=str(error), PendingDeploymentSummary=None)
            return
        except GivenUp:
            fleet.end()
            return
        self._serve(fleet)
        enter(self._cloud, self._resource, "InService", **in_service(config), FailureReason=None)
        self._hold(fleet)

    def update(self, config: Config, policy: dict[str, Any]) -> None:
        """Start a new fleet. The old fleet answers until the new one does, and continues if the new one fails (blue/green)."""
        old = serving(self._resource.arn)
        fleet = Fleet(self._cloud, self._name, config)
        try:
            self._ready(fleet)
            if old:
                self._shift(old, fleet, policy)
        except NotServing as error:
            if old:
                old.incoming, old.share = None, 0.0
            fleet.end()
            # The guide says that auto-rollback leaves the endpoint InService with the old configuration. Only reports of users say
            # that FailureReason stays.
            reason = str(error)
            enter(self._cloud, self._resource, "InService", FailureReason=reason, PendingDeploymentSummary=None)
            return
        except GivenUp:
            fleet.end()
            return
        self._serve(fleet)
        if old:
            wait = (policy.get("BlueGreenUpdatePolicy") or {}).get("TerminationWaitInSeconds", 0)
            self._cloud.background.ending.wait(wait)
            old.fleet.end()
            _close(old)
        enter(self._cloud, self._resource, "InService", **in_service(config), FailureReason=None)
        self._hold(fleet)

    def scale(self, config: Config) -> None:
        """Give variants other weights and numbers of instances. If the new instances do not get ready, the old values stay."""
        found = serving(self._resource.arn)
        assert found, "only an endpoint in service can be scaled"
        try:
            for entry in config["ProductionVariants"]:
                variant = found.fleet.variants[entry["VariantName"]]
                wanted = entry.get("InitialInstanceCount") or 1
                if wanted > len(variant.instances):
                    self._find_capacity()
                fresh = variant.grow(wanted - len(variant.instances)) if wanted > len(variant.instances) else []
                try:
                    found.fleet.until_ready(variant, fresh)
                except NotServing:
                    enter(self._cloud, self._resource, "RollingBack")
                    variant.shrink(fresh)
                    raise
                variant.shrink(variant.instances[wanted:])
        except NotServing as error:
            before = in_service(self._resource.state[CONFIG])
            enter(self._cloud, self._resource, "InService", **before, FailureReason=str(error))
            return
        except GivenUp:
            return
        for entry in config["ProductionVariants"]:
            variant = found.fleet.variants[entry["VariantName"]]
            variant.weight, variant.serverless = float(entry["InitialVariantWeight"]), entry.get("ServerlessConfig")
        found.fleet.config = config
        enter(self._cloud, self._resource, "InService", **in_service(config), FailureReason=None)

    def delete(self) -> None:
        """Stop the endpoint's instances and remove the endpoint."""
        found = take_out_of_service(self._resource.arn)
        if found:
            found.fleet.end()
            _close(found)
        self._cloud.store.remove(self._resource)
        self._cloud.say(f"endpoint {self._name}: deleted")

    def _ready(self, fleet: Fleet) -> None:
        self._find_capacity()
        if self._cloud.faults.take("image-missing", self._name):
            image = fleet.config["ProductionVariants"][0]["_Container"]["Image"]
            raise NotServing(f"The image '{image}' does not exist.")
        fleet.start()

    def _find_capacity(self) -> None:
        if self._cloud.faults.take("no-capacity", self._name):
            raise NotServing(NO_CAPACITY)

    def _serve(self, fleet: Fleet) -> None:
        config = fleet.config
        capture = config.get("DataCaptureConfig")
        endpoint = Serving(
            fleet,
            Capture(self._cloud, self._name, capture) if capture and capture.get("EnableCapture", True) else None,
            Queue(self._cloud, self._name, config["AsyncInferenceConfig"])
            if config.get("AsyncInferenceConfig")
            else None,
        )
        before = put_in_service(self._resource.arn, endpoint)
        if endpoint.queue and before and before.queue:
            endpoint.queue.adopt(before.queue)

    def _hold(self, fleet: Fleet) -> None:
        """Wait until the emulator ends, and remove the fleet's folder then. Return earlier if another thread ends the fleet."""
        while not self._cloud.background.ending.wait(1):
            found = serving(self._resource.arn)
            if found is None or found.fleet is not fleet:
                return
        fleet.end()
        if found := serving(self._resource.arn):
            _close(found)

    def _shift(self, old: Serving, fleet: Fleet, policy: dict[str, Any]) -> None:
        """Shift the traffic to the new fleet in the policy's steps; raises NotServing if an alarm of the policy goes off."""
        routing = (policy.get("BlueGreenUpdatePolicy") or {}).get("TrafficRoutingConfiguration")
        alarms = [entry["AlarmName"] for entry in (policy.get("AutoRollbackConfiguration") or {}).get("Alarms") or []]
        self._check(alarms)
        if routing is None:
            return
        old.incoming = fleet
        for share in _steps(routing, fleet):
            old.share = share
            until = time.monotonic() + routing["WaitIntervalInSeconds"]
            while time.monotonic() < until:
                self._check(alarms)
                self._sleep(STEP)
        old.incoming = None

    def _check(self, alarms: list[str]) -> None:
        found = cloudwatch_backends[ACCOUNT][self._cloud.region].alarms
        for name in alarms:
            if name in found and found[name].state_value == "ALARM":
                raise NotServing(f"The CloudWatch alarm {name} was tripped during the deployment; it was rolled back.")

    def _sleep(self, seconds: float) -> None:
        if self._cloud.background.ending.wait(seconds):
            raise GivenUp


def _steps(routing: dict[str, Any], fleet: Fleet) -> list[float]:
    """Return the new fleet's share of the traffic at each step (API, TrafficRoutingConfig)."""
    kind = routing["Type"]
    if kind == "ALL_AT_ONCE":
        return [1.0]
    size = routing["CanarySize" if kind == "CANARY" else "LinearStepSize"]
    instances = sum(len(variant.instances) for variant in fleet.variants.values())
    step = size["Value"] / 100 if size["Type"] == "CAPACITY_PERCENT" else min(size["Value"] / instances, 1.0)
    if kind == "CANARY":
        return [step, 1.0]
    count = max(1, round(1 / step))
    return [min(1.0, step * number) for number in range(1, count)] + [1.0]


def _close(endpoint: Serving) -> None:
    if endpoint.capture:
        endpoint.capture.close()
    if endpoint.queue:
        endpoint.queue.close()


def resume(cloud: Cloud, resource: Resource) -> None:
    """Start an endpoint again that was in service when the emulator ended."""
    cloud.background.start(resource.name, lambda: Deployment(cloud, resource).create(resource.state[CONFIG]))


def unfinished(resource: Resource) -> bool:
    return status(resource) in ("Creating", "Deleting") or CONFIG not in resource.state
