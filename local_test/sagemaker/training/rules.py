"""Rules of CreateTrainingJob that the API model does not have."""

import re
from typing import Any

from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.training.layout import CHECKPOINTS, OPT_ML, local_path

Request = dict[str, Any]
# Members that change what a job does, and that this machine cannot provide.
MISSING = ("ServerlessJobConfig", "SessionChainingConfig", "MlflowConfig", "ModelPackageConfig")


def emulated(request: Request) -> None:
    """Refuse members that the emulator does not support, and name them."""
    for member in MISSING:
        if request.get(member):
            raise not_emulated(f"CreateTrainingJob with {member}")
    if "AlgorithmName" in request.get("AlgorithmSpecification", {}):
        raise not_emulated("CreateTrainingJob with AlgorithmSpecification.AlgorithmName")
    for member in ("InstanceGroups", "InstancePreferences", "InstancePlacementConfig", "TrainingPlanArn"):
        if request.get("ResourceConfig", {}).get(member):
            raise not_emulated(f"CreateTrainingJob with ResourceConfig.{member}")
    for channel in request.get("InputDataConfig") or []:
        if "S3DataSource" not in channel["DataSource"]:
            source = ", ".join(channel["DataSource"]) or "no source"
            raise not_emulated(f"the channel {channel['ChannelName']} with {source}")


def complete(request: Request) -> None:
    """Refuse a request without an image or instances; only a serverless job needs neither (API, ServerlessJobConfig)."""
    if not request.get("AlgorithmSpecification", {}).get("TrainingImage"):
        raise invalid("AlgorithmSpecification.TrainingImage is missing; name the image that trains")
    resources = request.get("ResourceConfig") or {}
    if not resources.get("InstanceType") or not resources.get("InstanceCount"):
        # The API model allows an InstanceCount of 0, for a cluster of InstanceGroups (API, ResourceConfig).
        raise invalid("ResourceConfig needs an InstanceType, and an InstanceCount of 1 or more")


def spot(request: Request) -> None:
    """Check that only spot training has MaxWaitTimeInSeconds, and that it is at least MaxRuntimeInSeconds (API, StoppingCondition)."""
    condition = request.get("StoppingCondition") or {}
    wait, run = condition.get("MaxWaitTimeInSeconds"), condition.get("MaxRuntimeInSeconds", 86400)
    if request.get("EnableManagedSpotTraining"):
        if wait is None:
            raise invalid(
                "MaxWaitTimeInSeconds must be set in StoppingCondition when EnableManagedSpotTraining is true"
            )
        if wait < run:
            raise invalid(
                f"MaxWaitTimeInSeconds, {wait}, must be equal to or greater than MaxRuntimeInSeconds, {run}, in StoppingCondition"
            )
    elif wait is not None:
        raise invalid("MaxWaitTimeInSeconds can be set only when EnableManagedSpotTraining is true")


def channels(request: Request) -> None:
    """Each channel name may be used once, because it is the name of a folder in /opt/ml/input/data (C 1.2)."""
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig") or []]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"the channel name '{name}' is used more than once in InputDataConfig")


def local_paths(request: Request) -> None:
    """Refuse a LocalPath in one of the platform's own folders, since AWS's behaviour is not known."""
    config = request.get("CheckpointConfig") or {}
    path = local_path(config, CHECKPOINTS)
    taken = [OPT_ML / name for name in ("input", "model", "output")]
    if not path.is_absolute() or any(path.is_relative_to(folder) or folder.is_relative_to(path) for folder in taken):
        raise not_emulated(f"CheckpointConfig with the LocalPath {config['LocalPath']}")


def metrics(request: Request) -> None:
    """Check that the metrics' regular expressions compile, because they are applied to every log line (C 1.5)."""
    for definition in request.get("AlgorithmSpecification", {}).get("MetricDefinitions") or []:
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            raise invalid(
                f"the Regex '{definition['Regex']}' of the metric '{definition['Name']}' is not a regular expression: {error}"
            ) from None


RULES = (emulated, complete, spot, channels, local_paths, metrics)
