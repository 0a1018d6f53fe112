"""The alarms of an endpoint: requests to CloudWatch."""

from collections.abc import Mapping
from typing import Any

from launch.aws.requests.members import present, tags
from launch.aws.specification import Alarms

NAMESPACE = "AWS/SageMaker"
MINUTE = 60


def names(endpoint: str) -> tuple[str, str, str]:
    """Return the names of the alarms that an endpoint may have: for errors, for slow answers, and for requests that wait without an
    instance.
    """
    return f"{endpoint}-errors", f"{endpoint}-slow", f"{endpoint}-wake"


def errors(endpoint: str, variant: str, alarms: Alarms, tagged: Mapping[str, str]) -> dict[str, Any]:
    """Return the alarm for a minute in which the serving program failed or did not answer."""
    return {
        **_alarm(names(endpoint)[0], _of(endpoint, variant), alarms.topic, tagged),
        "AlarmDescription": f"the endpoint {endpoint} answered an invocation with 5xx",
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Sum",
        "Threshold": 1.0,
        "EvaluationPeriods": 1,
    }


def slow(endpoint: str, variant: str, alarms: Alarms, tagged: Mapping[str, str]) -> dict[str, Any]:
    """Return the alarm for three minutes in which one answer in twenty was too slow. The metric is in microseconds."""
    return {
        **_alarm(names(endpoint)[1], _of(endpoint, variant), alarms.topic, tagged),
        "AlarmDescription": f"the endpoint {endpoint} answers more slowly than {alarms.milliseconds} ms",
        "MetricName": "ModelLatency",
        "ExtendedStatistic": "p95",
        "Threshold": alarms.milliseconds * 1000.0,
        "EvaluationPeriods": 3,
    }


def wake(endpoint: str, policy: str, tagged: Mapping[str, str]) -> dict[str, Any]:
    """Return the alarm for requests that wait while there is no instance.

    The alarm starts a scaling policy that adds the first instance.
    """
    return {
        **_alarm(names(endpoint)[2], [{"Name": "EndpointName", "Value": endpoint}], policy, tagged),
        "AlarmDescription": f"a request waits for the endpoint {endpoint}, which has no instance",
        "MetricName": "HasBacklogWithoutCapacity",
        "Statistic": "Average",
        "Threshold": 1.0,
        "EvaluationPeriods": 2,
        "TreatMissingData": "missing",
    }


def _of(endpoint: str, variant: str) -> list[dict[str, str]]:
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]


def _alarm(name: str, dimensions: list[dict[str, str]], action: str, tagged: Mapping[str, str]) -> dict[str, Any]:
    members = {
        "AlarmName": name,
        "Namespace": NAMESPACE,
        "Dimensions": dimensions,
        "Period": MINUTE,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": [action] if action else None,
        "Tags": tags(tagged),
    }
    return present(members)
