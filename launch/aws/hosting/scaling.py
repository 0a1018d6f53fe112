"""The autoscaling of an endpoint's instances, and the endpoint's alarms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from classifier.errors import ConfigError
from launch.aws.errors import explained
from launch.aws.requests import alarms as alarm_requests
from launch.aws.requests import scaling as requests
from launch.aws.session import Session
from launch.aws.specification import Alarms, Autoscale

# Defaults of --target: requests a minute for each instance, and waiting requests for each instance of an asynchronous endpoint.
INVOCATIONS, WAITING = 60.0, 5.0
AUTOSCALING = "application-autoscaling"
POLICIES = ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration")


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The autoscaling of one variant, as it is registered at AWS."""

    resource: str  # endpoint/NAME/variant/VARIANT
    low: int
    high: int
    policies: tuple[Mapping[str, Any], ...] = ()

    @property
    def members(self) -> dict[str, str]:
        endpoint, variant = self.resource.split("/")[1::2]
        return requests.resource(endpoint, variant)


def parse(text: str, target: float | None, *, queue: bool, to_zero: bool = False) -> Autoscale:
    """Parse `--autoscale MIN:MAX`; raises ConfigError for numbers that AWS would refuse."""
    low, colon, high = text.partition(":")
    if not (colon and low.isdecimal() and high.isdecimal()):
        raise ConfigError(f"--autoscale is {text!r}; write two numbers, as in --autoscale 1:4")
    least, most = (0 if to_zero else int(low)), int(high)
    if least == 0 and not queue:
        raise ConfigError(
            "an endpoint that answers at once keeps at least one instance; begin --autoscale with 1, or use --async"
        )
    if most < max(1, least):
        raise ConfigError(f"--autoscale is {text}; the second number must be at least {max(1, least)}")
    wanted = target if target is not None else WAITING if queue else INVOCATIONS
    if not 0 < wanted < math.inf:
        raise ConfigError(f"--target is {wanted:g}; it must be a number above 0")
    return Autoscale(low=least, high=most, target=wanted, queue=queue)


def calls(endpoint: str, variant: str, scale: Autoscale) -> list[tuple[str, dict[str, Any]]]:
    """Return the operations of Application Auto Scaling that register the autoscaling of a variant, with their requests."""
    found = [
        ("RegisterScalableTarget", requests.scalable_target(endpoint, variant, scale)),
        ("PutScalingPolicy", requests.tracking(endpoint, variant, scale)),
    ]
    return found + ([("PutScalingPolicy", requests.wake(endpoint, variant))] if scale.to_zero else [])


def alarm_calls(
    endpoint: str, variant: str, wanted: Alarms, tags: Mapping[str, str]
) -> list[tuple[str, dict[str, Any]]]:
    """Return the operations of CloudWatch that make the alarms of an endpoint, with their requests."""
    return [
        ("PutMetricAlarm", build(endpoint, variant, wanted, tags))
        for build in (alarm_requests.errors, alarm_requests.slow)
    ]


def scale(session: Session, endpoint: str, variant: str, wanted: Autoscale, tags: Mapping[str, str]) -> None:
    """Register the autoscaling of a variant. It replaces an earlier one."""
    client = session.client(AUTOSCALING)
    with explained(f"the autoscaling of endpoint {endpoint}"):
        client.register_scalable_target(**requests.scalable_target(endpoint, variant, wanted))
        client.put_scaling_policy(**requests.tracking(endpoint, variant, wanted))
        if wanted.to_zero:
            policy = client.put_scaling_policy(**requests.wake(endpoint, variant))["PolicyARN"]
            session.client("cloudwatch").put_metric_alarm(**alarm_requests.wake(endpoint, policy, tags))


def watch(session: Session, endpoint: str, variant: str, wanted: Alarms, tags: Mapping[str, str]) -> None:
    """Make the alarms for errors and slow answers, or change them if they exist."""
    client = session.client("cloudwatch")
    with explained(f"the alarms of endpoint {endpoint}"):
        for _, request in alarm_calls(endpoint, variant, wanted, tags):
            client.put_metric_alarm(**request)


def registered(session: Session, endpoint: str) -> list[Registered]:
    """Return the scaling of all variants of an endpoint. A deleted endpoint may have left its scaling behind."""
    client, dimension = session.client(AUTOSCALING), {"ServiceNamespace": requests.SERVICE}
    found = []
    with explained(f"the autoscaling of endpoint {endpoint}"):
        for page in client.get_paginator("describe_scalable_targets").paginate(**dimension):
            for target in page["ScalableTargets"]:
                if target["ResourceId"].startswith(f"endpoint/{endpoint}/"):
                    policies = client.describe_scaling_policies(**dimension, ResourceId=target["ResourceId"])
                    found.append(
                        Registered(
                            resource=target["ResourceId"],
                            low=target["MinCapacity"],
                            high=target["MaxCapacity"],
                            policies=tuple(policies["ScalingPolicies"]),
                        )
                    )
    return found


def unregister(session: Session, found: Registered) -> None:
    """Remove the scaling of a variant with its policies; AWS removes the policies' alarms with them."""
    client = session.client(AUTOSCALING)
    with explained(f"the autoscaling of {found.resource}"):
        for policy in found.policies:
            client.delete_scaling_policy(**found.members, PolicyName=policy["PolicyName"])
        client.deregister_scalable_target(**found.members)


def register_again(session: Session, found: Registered) -> None:
    """Register again an autoscaling that was removed."""
    client = session.client(AUTOSCALING)
    with explained(f"the autoscaling of {found.resource}"):
        client.register_scalable_target(**found.members, MinCapacity=found.low, MaxCapacity=found.high)
        for policy in found.policies:
            client.put_scaling_policy(**found.members, **{name: policy[name] for name in POLICIES if name in policy})


def alarms(session: Session, endpoint: str) -> list[str]:
    """Return the names of the existing alarms that byoc made for an endpoint.

    The alarms that AWS made for scaling policies are not among them.
    """
    client = session.client("cloudwatch")
    with explained(f"the alarms of endpoint {endpoint}"):
        answer = client.describe_alarms(AlarmNames=list(alarm_requests.names(endpoint)), AlarmTypes=["MetricAlarm"])
    return [alarm["AlarmName"] for alarm in answer["MetricAlarms"]]


def alarm_names(endpoint: str) -> tuple[str, str]:
    """Return the names of the two alarms for errors and for slow answers, which also roll back an update."""
    return alarm_requests.names(endpoint)[:2]


def guards(session: Session, endpoint: str) -> list[str]:
    """Return the existing alarms that roll back an update."""
    return [name for name in alarms(session, endpoint) if name in alarm_names(endpoint)]


def delete_alarms(session: Session, names: list[str]) -> None:
    """Delete alarms by their names."""
    if names:
        with explained(f"the alarms {', '.join(names)}"):
            session.client("cloudwatch").delete_alarms(AlarmNames=names)
