"""The members in which SDK v2's requests differ from ours, because the SDK lacks them or writes them in another way.

These members are taken from our request. All other members must be equal; a request with another difference is never sent. A number in a
path is an index in a list.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from launch.aws.overrides import Overrides

Request = dict[str, Any]
DIFFERENCES: dict[str, dict[str, str]] = {
    "CreateTrainingJob": {
        "ResourceConfig.InstancePreferences": "the SDK does not know several instance types",
        "ResourceConfig.InstanceType": "the SDK uses the first of several types instead",
    },
    "CreateHyperParameterTuningJob": {
        "TrainingJobDefinition.HyperParameterTuningResourceConfig.AllocationStrategy": "the SDK omits the only value",
        "TrainingJobDefinition.ResourceConfig": "the SDK does not know warm pools for tuning jobs",
        "TrainingJobDefinition.HyperParameterTuningResourceConfig": "the SDK uses this instead of ResourceConfig",
        "WarmStartConfig.ParentHyperParameterTuningJobs": "the SDK keeps the parents as a set, in any order",
    },
    "CreateModel": {
        "PrimaryContainer.Environment": "the SDK sends an empty environment",
    },
    "CreateEndpointConfig": {
        "EndpointConfigName": "the SDK takes the endpoint's name, which a second deployment could not use again",
        "MetricsConfig": "the SDK does not know detailed metrics, which cost money",
        "ProductionVariants.0.InstancePools": "the SDK does not know several instance types",
        "ProductionVariants.0.InstanceType": "the SDK uses the first of several types instead",
        "ProductionVariants.0.InferenceAmiVersion": "the SDK's multi-model deployment does not take an AMI",
        "ProductionVariants.0.ModelDataDownloadTimeoutInSeconds": "serverless and multi-model deployments of the SDK lack it",
        "ProductionVariants.0.ContainerStartupHealthCheckTimeoutInSeconds": "serverless and multi-model deployments of the SDK lack it",
        "AsyncInferenceConfig": "the SDK's multi-model deployment does not take this, and its other deployments require S3FailurePath",
    },
    "CreateEndpoint": {"EndpointConfigName": "the SDK takes the endpoint's name"},
    "CreateTransformJob": {},
}


def filled(operation: str, request: Request, ours: Request, overrides: Overrides) -> Request:
    """Return the SDK's request, with the members of DIFFERENCES and of the user's overrides taken from our request."""
    made = copy.deepcopy(request)
    # Sorted by length, so that a member's container is copied or removed before the member.
    for path in sorted([*DIFFERENCES[operation], *overrides.get(operation, {})], key=len):
        _copy(ours, made, path.split("."))
    return made


def unlike(request: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Yield the paths at which two requests differ."""
    if isinstance(request, Mapping) and isinstance(ours, Mapping):
        for name in sorted(request.keys() | ours.keys()):
            yield from unlike(request.get(name), ours.get(name), f"{path}.{name}" if path else name)
    elif isinstance(request, list) and isinstance(ours, list) and len(request) == len(ours):
        for place, (one, other) in enumerate(zip(request, ours, strict=True)):
            yield from unlike(one, other, f"{path}.{place}")
    elif request != ours:
        yield path


def _copy(source: Any, target: Any, steps: list[str]) -> None:
    """Copy the member at a path from `source` to `target`; if `source` lacks it, remove it from `target`."""
    *way, last = steps
    for step in way:
        source = _inside(source, step)
        if isinstance(target, dict) and isinstance(source, dict):
            target.setdefault(step, {})
        target = _inside(target, step)
    if isinstance(target, list) and isinstance(source, list):
        target[int(last)] = copy.deepcopy(source[int(last)])
    elif isinstance(target, dict):
        if isinstance(source, dict) and last in source:
            target[last] = copy.deepcopy(source[last])
        else:
            target.pop(last, None)


def _inside(holder: Any, step: str) -> Any:
    if isinstance(holder, list):
        return holder[int(step)] if int(step) < len(holder) else None
    return holder.get(step) if isinstance(holder, dict) else None
