"""The request of a training job that a tuning job launches."""

from collections.abc import Mapping
from typing import Any

from local_test.sagemaker.tuning.plan import Part

STATIC_METRIC = "_tuning_objective_metric"  # a hyperparameter that the platform adds (C 1.3)
# Members that a training job definition and CreateTrainingJob share.
COMMON = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "RetryStrategy",
    "Environment",
)


def training_request(part: Part, name: str, chosen: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, Any]:
    """Return a training job's request with the hyperparameters chosen for it."""
    definition = part.definition
    request = {member: definition[member] for member in COMMON if definition.get(member) is not None}
    request["TrainingJobName"] = name
    request["HyperParameters"] = {**part.static, **chosen, STATIC_METRIC: part.objective.metric}
    request["ResourceConfig"] = resources(definition)
    # The training jobs also get the tuning job's tags (API, CreateHyperParameterTuningJob.Tags).
    return {**request, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]} if tags else request


def resources(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition's instances in the form of CreateTrainingJob.

    Of several types it takes the first, which this machine always has.
    """
    if plain := definition.get("ResourceConfig"):
        return dict(plain)
    tuning = definition["HyperParameterTuningResourceConfig"]
    instances = (tuning.get("InstanceConfigs") or [tuning])[0]
    found = {name: instances.get(name) for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB")}
    key = tuning.get("VolumeKmsKeyId")
    return {name: value for name, value in {**found, "VolumeKmsKeyId": key}.items() if value is not None}
