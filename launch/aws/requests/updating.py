"""UpdateEndpoint: instances with the new configuration start beside the old ones, and the old ones end when the new ones answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from launch.aws.overrides import overridden
from launch.aws.requests.members import present


def update(
    endpoint: str,
    config: str,
    *,
    keep_count: bool = True,
    alarms: Sequence[str] = (),
    bake: int = 0,
    overrides: Mapping[str, Mapping[str, object]] | None = None,
) -> dict[str, Any]:
    """Return the request of UpdateEndpoint. The number of instances that autoscaling chose stays, unless `keep_count` is false.

    The new instances answer for `bake` seconds before the old ones end. If an alarm goes off until then, AWS brings the old configuration
    back.
    """
    # Without this exclusion AWS would keep the old configuration's capture settings.
    excluded = ["DataCaptureConfig"] + ([] if keep_count else ["DesiredInstanceCount"])
    request = {
        "EndpointName": endpoint,
        "EndpointConfigName": config,
        "RetainAllVariantProperties": True,
        "ExcludeRetainedVariantProperties": [{"VariantPropertyType": name} for name in excluded],
        "DeploymentConfig": _deployment(alarms, bake) if alarms or bake else None,
    }
    return overridden("UpdateEndpoint", present(request), overrides or {})


def _deployment(alarms: Sequence[str], bake: int) -> dict[str, Any]:
    members = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": bake},
            "TerminationWaitInSeconds": 0,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]} if alarms else None,
    }
    return present(members)
