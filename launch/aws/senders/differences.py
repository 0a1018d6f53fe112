"""The members in which SDK v2's requests differ from ours, since the SDK lacks them or writes them otherwise.

They are taken from our request. All other members must be equal, and a request in which one is not is never sent. A number in a
path is a place in a list.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from launch.aws.overrides import Overrides

Request = dict[str, Any]
DIFFERENCES: dict[str, dict[str, str]] = {
    "CreateTrainingJob": {
        "ResourceConfig.InstancePreferences": "several types of instances are unknown to it",
        "ResourceConfig.InstanceType": "it has the first of several types instead",
    },
    "CreateHyperParameterTuningJob": {
        "TrainingJobDefinition.HyperParameterTuningResourceConfig.AllocationStrategy": "it leaves the one value out",
        "TrainingJobDefinition.ResourceConfig": "warm pools of a tuning job are unknown to it",
        "TrainingJobDefinition.HyperParameterTuningResourceConfig": "it has this instead of ResourceConfig",
        "WarmStartConfig.ParentHyperParameterTuningJobs": "it keeps the parents as a set, in any order",
    },
    "CreateModel": {
        "PrimaryContainer.Environment": "it sends an empty one",
    },
    "CreateEndpointConfig": {
        "EndpointConfigName": "it takes the endpoint's name, which a second deployment could not take again",
        "MetricsConfig": "detailed metrics, which cost, are unknown to it",
        "ProductionVariants.0.InstancePools": "several types of instances are unknown to it",
        "ProductionVariants.0.InstanceType": "it has the first of several types instead",
        "ProductionVariants.0.InferenceAmiVersion": "its multi-model deployment does not take one",
        "ProductionVariants.0.ModelDataDownloadTimeoutInSeconds": "nor its serverless and multi-model deployments this",
        "ProductionVariants.0.ContainerStartupHealthCheckTimeoutInSeconds": "nor this",
        "AsyncInferenceConfig": "its multi-model deployment takes none, and others need S3FailurePath",
    },
    "CreateEndpoint": {"EndpointConfigName": "it takes the endpoint's name"},
    "CreateTransformJob": {},
}


def filled(operation: str, request: Request, ours: Request, overrides: Overrides) -> Request:
    """Return the SDK's request with the named differences, and what the user overrides, taken from our request."""
    made = copy.deepcopy(request)
    # Shorter paths first: what holds a member is there, or gone, before the member is.
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
    """Copy the member at a path from `source` to `target`; where `source` lacks it, remove it."""
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
