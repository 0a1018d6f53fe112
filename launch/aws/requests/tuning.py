"""CreateHyperParameterTuningJob."""

from typing import Any

from launch.aws.overrides import overridden
from launch.aws.requests.members import present, tags
from launch.aws.requests.training import definition, resources
from launch.aws.specification import Completion, Machines, Range, Tuning


def tuning_job(tuning: Tuning) -> dict[str, Any]:
    """Return the request for a tuning job, with its overrides."""
    training = tuning.training
    request = {
        "HyperParameterTuningJobName": training.name,
        "HyperParameterTuningJobConfig": _config(tuning),
        "TrainingJobDefinition": {
            # The API requires this member, though it may be empty. SageMaker passes all values to the container as strings, numbers too.
            "StaticHyperParameters": dict(training.hyperparameters),
            **definition(training),
            **_resources(training.machines, training.identity.security.volume_key),
        },
        "WarmStartConfig": _warm_start(tuning),
        "Tags": tags(training.identity.tags),
    }
    return overridden("CreateHyperParameterTuningJob", present(request), training.overrides)


def _config(tuning: Tuning) -> dict[str, Any]:
    limits = {
        "MaxNumberOfTrainingJobs": tuning.max_jobs,
        "MaxParallelTrainingJobs": tuning.parallel,
        "MaxRuntimeInSeconds": tuning.max_run or None,
    }
    band = None
    if tuning.resource:
        band = {"HyperbandStrategyConfig": {"MinResource": tuning.resource[0], "MaxResource": tuning.resource[1]}}
    return present(
        {
            "Strategy": tuning.strategy,
            "StrategyConfig": band,
            "HyperParameterTuningJobObjective": {
                "Type": "Maximize" if tuning.maximize else "Minimize",
                "MetricName": tuning.objective,
            },
            "ResourceLimits": present(limits),
            "ParameterRanges": _ranges(tuning.ranges),
            "TrainingJobEarlyStoppingType": "Auto" if tuning.early_stopping else "Off",
            "TuningJobCompletionCriteria": _completion(tuning.completion),
            "RandomSeed": tuning.seed,
        }
    )


def _ranges(ranges: tuple[Range, ...]) -> dict[str, list[dict[str, Any]]]:
    """Return the ranges as one list for each kind of range. A list may be empty."""
    kinds: dict[str, list[dict[str, Any]]] = {
        "IntegerParameterRanges": [],
        "ContinuousParameterRanges": [],
        "CategoricalParameterRanges": [],
    }
    for one in ranges:
        if one.values:
            kinds["CategoricalParameterRanges"].append({"Name": one.name, "Values": list(one.values)})
        else:
            numbers = {"MinValue": one.low, "MaxValue": one.high, "ScalingType": one.scale}
            kind = "IntegerParameterRanges" if one.whole else "ContinuousParameterRanges"
            kinds[kind].append({"Name": one.name, **numbers})
    return kinds


def _completion(completion: Completion) -> dict[str, Any] | None:
    jobs = completion.without_improvement
    members = {
        "TargetObjectiveMetricValue": completion.target,
        "BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": jobs} if jobs is not None else None,
        "ConvergenceDetected": {"CompleteOnConvergence": "Enabled"} if completion.convergence else None,
    }
    return present(members) or None


def _resources(machines: Machines, volume_key: str) -> dict[str, Any]:
    """Return the members that describe the training jobs' instances. Warm pools need ResourceConfig. Spot instances of several
    types need HyperParameterTuningResourceConfig.
    """
    if machines.keep_alive:
        return {"ResourceConfig": resources(machines, volume_key)}
    if len(machines.types) < 2:
        return {"HyperParameterTuningResourceConfig": resources(machines, volume_key)}
    several = [
        {"InstanceType": name, "InstanceCount": machines.count, "VolumeSizeInGB": machines.volume_gb}
        for name in machines.types
    ]
    members = {
        "InstanceConfigs": several,
        "AllocationStrategy": "Prioritized",
        "VolumeKmsKeyId": volume_key or None,
    }
    return {"HyperParameterTuningResourceConfig": present(members)}


def _warm_start(tuning: Tuning) -> dict[str, Any] | None:
    if not tuning.parents:
        return None
    return {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": name} for name in tuning.parents],
        "WarmStartType": tuning.parents_kind,
    }
