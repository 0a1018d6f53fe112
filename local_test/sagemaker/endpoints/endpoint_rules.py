"""Rules of CreateEndpoint, UpdateEndpoint and UpdateEndpointWeightsAndCapacities that the API model does not have."""

from typing import Any

from local_test.sagemaker.errors import invalid, not_emulated

Request = dict[str, Any]


def deployment(request: Request) -> None:
    """Check how an update shifts the traffic (API, DeploymentConfig and TrafficRoutingConfig)."""
    config = request.get("DeploymentConfig") or {}
    if config.get("RollingUpdatePolicy"):
        raise not_emulated("a DeploymentConfig with RollingUpdatePolicy")
    routing = (config.get("BlueGreenUpdatePolicy") or {}).get("TrafficRoutingConfiguration")
    if routing is None:
        return
    for kind, member in (("CANARY", "CanarySize"), ("LINEAR", "LinearStepSize")):
        if routing["Type"] == kind and not routing.get(member):
            raise invalid(f"TrafficRoutingConfiguration of the Type {kind} needs {member}")
        if routing["Type"] != kind and routing.get(member):
            raise invalid(f"{member} is for TrafficRoutingConfiguration of the Type {kind}")
        size = routing.get(member)
        if size and size["Type"] == "CAPACITY_PERCENT" and size["Value"] > 50:
            raise invalid(f"{member}, {size['Value']} %, must be at most 50 % of the capacity")


def retained(request: Request) -> None:
    """Check the members that retain or exclude properties of the old configuration (API, UpdateEndpoint)."""
    if request.get("ExcludeRetainedVariantProperties") and not request.get("RetainAllVariantProperties"):
        raise invalid("ExcludeRetainedVariantProperties can be set only when RetainAllVariantProperties is true")
    if request.get("RetainDeploymentConfig") and request.get("DeploymentConfig"):
        raise invalid("a request has either RetainDeploymentConfig or DeploymentConfig")


def desired(request: Request) -> None:
    """Check that a request has only one entry for each variant (API, UpdateEndpointWeightsAndCapacities)."""
    names = [entry["VariantName"] for entry in request["DesiredWeightsAndCapacities"]]
    for entry in request["DesiredWeightsAndCapacities"]:
        if names.count(entry["VariantName"]) > 1:
            raise invalid(f"the variant '{entry['VariantName']}' is named more than once")
        if entry.get("DesiredInstanceCount") == 0:
            raise not_emulated(f"the DesiredInstanceCount 0 of the variant '{entry['VariantName']}'")


CREATE = (deployment,)
UPDATE = (deployment, retained)
CAPACITIES = (desired,)
