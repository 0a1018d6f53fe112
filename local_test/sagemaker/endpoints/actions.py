"""CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint, UpdateEndpointWeightsAndCapacities, DeleteEndpoint."""

import json
from typing import Any

from local_test.sagemaker.actions import action
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints import endpoint_rules as rules
from local_test.sagemaker.endpoints.config_rules import concurrency, weights
from local_test.sagemaker.endpoints.deployment import Deployment, resume, unfinished
from local_test.sagemaker.endpoints.models import runs
from local_test.sagemaker.endpoints.names import CONFIG as CONFIG_KIND
from local_test.sagemaker.endpoints.names import ENDPOINT, MODEL, add, find, summaries
from local_test.sagemaker.endpoints.status import CHANGING, CONFIG, Config, enter, pending, status, summary
from local_test.sagemaker.errors import invalid
from local_test.sagemaker.listing import page
from local_test.sagemaker.store import Resource

COPIED = ("ProductionVariants", "DataCaptureConfig", "AsyncInferenceConfig", "MetricsConfig")


@action("CreateEndpoint", *rules.CREATE)
def create(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    config = _snapshot(request["EndpointConfigName"], cloud)
    name = request["EndpointName"]
    arn = cloud.arn(ENDPOINT, name)
    state = {"EndpointArn": arn, "EndpointStatus": "Creating", "PendingDeploymentSummary": pending(config)}
    if request.get("DeploymentConfig"):
        state["LastDeploymentConfig"] = request["DeploymentConfig"]
    echoed = {"EndpointName": name, "EndpointConfigName": request["EndpointConfigName"], "Tags": request.get("Tags")}
    resource = add(cloud, ENDPOINT, name, echoed, state)
    cloud.say(f"endpoint {name}: Creating")
    cloud.background.start(name, lambda: Deployment(cloud, resource).create(config))
    return {"EndpointArn": arn}


@action("DescribeEndpoint")
def describe(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    name = request["EndpointName"]
    resource = find(cloud, ENDPOINT, name)
    before = status(resource)
    if cloud.settings.hold and before in CHANGING:
        cloud.store.wait(
            lambda: status(resource) != before or cloud.store.find(ENDPOINT, name) is not resource, cloud.settings.hold
        )
        resource = find(cloud, ENDPOINT, name)
    return {member: value for member, value in cloud.store.snapshot(resource).items() if member != CONFIG}


@action("ListEndpoints")
def listed(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    found, more = page(cloud.store.all(ENDPOINT), request, "EndpointStatus", descending=True)
    members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    return {"Endpoints": summaries(found, members), **more}


@action("UpdateEndpoint", *rules.UPDATE)
def update(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = find(cloud, ENDPOINT, request["EndpointName"])
    config = _snapshot(request["EndpointConfigName"], cloud)
    with cloud.store.changing(resource) as state:
        _serves(resource)
        if request["EndpointConfigName"] == state["EndpointConfigName"]:
            raise invalid(f"the endpoint {resource.name} already has the configuration {request['EndpointConfigName']}")
        if request.get("RetainAllVariantProperties"):
            _retain(config, state[CONFIG], request.get("ExcludeRetainedVariantProperties") or [])
        kept = state.get("LastDeploymentConfig") if request.get("RetainDeploymentConfig") else None
        policy = request.get("DeploymentConfig") or kept or {}
        changed = {"PendingDeploymentSummary": pending(config), "LastDeploymentConfig": policy or None}
        enter(cloud, resource, "Updating", **changed, FailureReason=None)
    cloud.background.start(resource.name, lambda: Deployment(cloud, resource).update(config, policy))
    return {"EndpointArn": resource.arn}


@action("UpdateEndpointWeightsAndCapacities", *rules.CAPACITIES)
def scale(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = find(cloud, ENDPOINT, request["EndpointName"])
    with cloud.store.changing(resource) as state:
        _serves(resource)
        config = json.loads(json.dumps(state[CONFIG]))
        for entry in request["DesiredWeightsAndCapacities"]:
            _desire(_variant(config, entry["VariantName"], resource), entry)
        variants = config["ProductionVariants"]
        weights([variant["InitialVariantWeight"] for variant in variants], len(variants))
        shown = [_wanted(old, new) for old, new in zip(state[CONFIG]["ProductionVariants"], variants, strict=True)]
        enter(cloud, resource, "Updating", ProductionVariants=shown, FailureReason=None)
    cloud.background.start(resource.name, lambda: Deployment(cloud, resource).scale(config))
    return {"EndpointArn": resource.arn}


@action("DeleteEndpoint")
def delete(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = find(cloud, ENDPOINT, request["EndpointName"])
    with cloud.store.changing(resource):
        _settled(resource)
        enter(cloud, resource, "Deleting")
    cloud.background.start(resource.name, Deployment(cloud, resource).delete)
    return {}


def end_left(cloud: Cloud) -> list[str]:
    """Restart the endpoints that were in service when the emulator ended, because on AWS they would still run. Return a line for each."""
    lines = []
    for resource in cloud.store.all(ENDPOINT):
        before = status(resource)
        if before == "Deleting":
            cloud.store.remove(resource)
            lines.append(
                f"endpoint {resource.name} was being deleted when the emulator ended; the deletion is complete"
            )
        elif unfinished(resource):
            if before != "Failed":
                reason = "InternalServerError: the emulator ended while the endpoint was created"
                enter(cloud, resource, "Failed", FailureReason=reason, PendingDeploymentSummary=None)
        elif before != "Failed":
            enter(cloud, resource, "SystemUpdating", PendingDeploymentSummary=None)
            resume(cloud, resource)
            lines.append(f"endpoint {resource.name} was in service when the emulator ended; it starts again")
    return lines


def _snapshot(name: str, cloud: Cloud) -> Config:
    """Return a copy of an endpoint configuration with its models' containers. Later changes to the models then change no endpoint."""
    resource = find(cloud, CONFIG_KIND, name)
    config: Config = {member: resource.answer[member] for member in COPIED if resource.answer.get(member)}
    config["EndpointConfigName"] = resource.name
    isolated = bool(resource.answer.get("EnableNetworkIsolation"))
    config["ProductionVariants"] = [_running(variant, isolated, cloud) for variant in config["ProductionVariants"]]
    copied: Config = json.loads(json.dumps(config))
    return copied


def _running(variant: Config, isolated: bool, cloud: Cloud) -> Config:
    model = find(cloud, MODEL, variant["ModelName"])
    isolated = isolated or bool(model.answer.get("EnableNetworkIsolation"))
    return {**variant, "_Container": runs(model), "_Isolated": isolated}


def _settled(resource: Resource) -> None:
    if status(resource) in CHANGING:
        raise invalid(f'Cannot update in-progress endpoint "{resource.arn}".')


def _serves(resource: Resource) -> None:
    """Refuse changes to a failed endpoint, which can only be deleted (API, DescribeEndpoint)."""
    _settled(resource)
    if status(resource) == "Failed":
        raise invalid(f"the endpoint {resource.name} is Failed; it can only be deleted")


def _retain(config: Config, before: Config, excluded: list[dict[str, str]]) -> None:
    """Copy the present weights, numbers of instances and DataCaptureConfig, except excluded ones (API, UpdateEndpoint)."""
    dropped = {entry["VariantPropertyType"] for entry in excluded}
    old = {variant["VariantName"]: variant for variant in before["ProductionVariants"]}
    for variant in config["ProductionVariants"]:
        was = old.get(variant["VariantName"], {})
        for kind, member in (
            ("DesiredWeight", "InitialVariantWeight"),
            ("DesiredInstanceCount", "InitialInstanceCount"),
        ):
            if kind not in dropped and member in was and member in variant:
                variant[member] = was[member]
    if "DataCaptureConfig" not in dropped and before.get("DataCaptureConfig"):
        config["DataCaptureConfig"] = before["DataCaptureConfig"]


def _variant(config: Config, name: str, resource: Resource) -> Config:
    for variant in config["ProductionVariants"]:
        if variant["VariantName"] == name:
            found: Config = variant
            return found
    raise invalid(f"the endpoint {resource.name} has no variant '{name}'")


def _desire(variant: Config, entry: dict[str, Any]) -> None:
    """Change a variant's weight, instances or serverless limits by one entry of DesiredWeightsAndCapacities."""
    name, serverless = variant["VariantName"], variant.get("ServerlessConfig")
    if "DesiredWeight" in entry:
        variant["InitialVariantWeight"] = entry["DesiredWeight"]
    if "DesiredInstanceCount" in entry:
        if serverless:
            raise invalid(f"the variant '{name}' is serverless, so it cannot have DesiredInstanceCount")
        variant["InitialInstanceCount"] = entry["DesiredInstanceCount"]
    if changed := entry.get("ServerlessUpdateConfig"):
        if not serverless:
            raise invalid(f"the variant '{name}' is not serverless, so it cannot have ServerlessUpdateConfig")
        variant["ServerlessConfig"] = serverless | changed
        concurrency(variant["ServerlessConfig"])


def _wanted(old: Config, new: Config) -> dict[str, Any]:
    """Return a variant's summary while it is scaled: the current values from the old variant, and the desired values from the new one."""
    shown = summary(old)
    for member, value in summary(new).items():
        if member.startswith("Desired"):
            shown[member] = value
    return shown
