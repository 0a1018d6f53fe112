"""The members of DescribeEndpoint's answer about an endpoint's configuration and status."""

import time
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.store import Resource

Config = dict[str, Any]
# The configuration in service, with the models' containers and the scaled values; Describe leaves it out.
CONFIG = "_Config"
CHANGING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
REASON = 1024  # the most characters of FailureReason (API)


def enter(cloud: Cloud, resource: Resource, status: str, **state: Any) -> None:
    """Set an endpoint's status and other members; None removes a member."""
    if reason := state.get("FailureReason"):
        state["FailureReason"] = reason[:REASON]
    cloud.store.update(resource, EndpointStatus=status, **state)
    said = str(reason).split("\n")[0] if reason else ""
    cloud.say(f"endpoint {resource.name}: {status}{f': {said}' if said else ''}")


def status(resource: Resource) -> str:
    return str(resource.state["EndpointStatus"])


def in_service(config: Config) -> dict[str, Any]:
    """Return the members that describe an endpoint in service with this configuration."""
    members: dict[str, Any] = {
        CONFIG: config,
        "EndpointConfigName": config["EndpointConfigName"],
        "ProductionVariants": [summary(variant) for variant in config["ProductionVariants"]],
        "PendingDeploymentSummary": None,
    }
    for member in ("AsyncInferenceConfig", "MetricsConfig"):
        members[member] = config.get(member)
    members["DataCaptureConfig"] = _capture(config.get("DataCaptureConfig"))
    return members


def pending(config: Config) -> dict[str, Any]:
    """Return PendingDeploymentSummary: the configuration that an endpoint is created or updated with (API, DescribeEndpoint)."""
    return {
        "EndpointConfigName": config["EndpointConfigName"],
        "ProductionVariants": [summary(variant, "Creating") for variant in config["ProductionVariants"]],
        "StartTime": time.time(),
    }


def summary(variant: Config, stage: str = "") -> dict[str, Any]:
    """Return a variant as DescribeEndpoint shows it."""
    image = variant["_Container"]["Image"]
    deployed = {"SpecifiedImage": image, "ResolutionTime": time.time()}
    if "@" in image:
        deployed["ResolvedImage"] = image  # AWS also resolves a tag to a digest, which needs a registry
    weight = variant["InitialVariantWeight"]
    members: dict[str, Any] = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [deployed],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
    }
    if serverless := variant.get("ServerlessConfig"):
        members |= {"CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
    count = variant.get("InitialInstanceCount") or 0
    members |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
    if variant.get("RoutingConfig"):
        members["RoutingConfig"] = variant["RoutingConfig"]
    if stage:
        members["VariantStatus"] = [{"Status": stage, "StartTime": time.time()}]
        members |= {"CurrentInstanceCount": 0}
    return members


def _capture(config: dict[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    enabled = config.get("EnableCapture", True)  # API, DataCaptureConfig: defaults to enabled
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
