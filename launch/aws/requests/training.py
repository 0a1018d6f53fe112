"""CreateTrainingJob."""

from typing import Any

from launch.aws.overrides import overridden
from launch.aws.requests.members import present, tags, vpc
from launch.aws.specification import Channel, Machines, Training
from train.config import METRIC_DEFINITIONS

# SageMaker's default folder for checkpoints, in which the training program looks for them.
CHECKPOINTS = "/opt/ml/checkpoints"


def training_job(training: Training) -> dict[str, Any]:
    """Return the request for a training job, with its overrides."""
    request = {
        "TrainingJobName": training.name,
        "HyperParameters": dict(training.hyperparameters) or None,
        **definition(training),
        "ResourceConfig": resources(training.machines, training.identity.security.volume_key),
        # Without this member the SDK and Studio would start SageMaker's profiler. Without DebugHookConfig the Debugger stays off.
        "ProfilerConfig": {"DisableProfiler": True},
        "Tags": tags(training.identity.tags),
    }
    return overridden("CreateTrainingJob", present(request), training.overrides)


def definition(training: Training) -> dict[str, Any]:
    """Return the members that a training job shares with the training jobs of a tuning job."""
    machines, security = training.machines, training.identity.security
    wait = {"MaxWaitTimeInSeconds": machines.max_wait or 2 * machines.max_run} if machines.spot else {}
    members = {
        "AlgorithmSpecification": {
            "TrainingImage": training.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [dict(metric) for metric in METRIC_DEFINITIONS],
        },
        "RoleArn": training.identity.role,
        "InputDataConfig": [_channel(channel) for channel in training.channels] or None,
        "OutputDataConfig": present({"S3OutputPath": training.output, "KmsKeyId": security.output_key or None}),
        "StoppingCondition": {"MaxRuntimeInSeconds": machines.max_run, **wait},
        "VpcConfig": vpc(security),
        "EnableNetworkIsolation": security.isolation or None,
        "EnableInterContainerTrafficEncryption": security.encrypt_traffic or None,
        "EnableManagedSpotTraining": machines.spot or None,
        "CheckpointConfig": {"S3Uri": training.checkpoints, "LocalPath": CHECKPOINTS} if training.checkpoints else None,
        "Environment": dict(training.environment) or None,
        "RetryStrategy": {"MaximumRetryAttempts": machines.retries} if machines.retries else None,
    }
    return present(members)


def resources(machines: Machines, volume_key: str) -> dict[str, Any]:
    """Return the ResourceConfig; several instance types become InstancePreferences with a common count."""
    types = machines.types
    return present(
        {
            "InstanceType": types[0] if len(types) == 1 else None,
            "InstancePreferences": [{"InstanceType": name} for name in types] if len(types) > 1 else None,
            "InstanceCount": machines.count,
            "VolumeSizeInGB": machines.volume_gb,
            "VolumeKmsKeyId": volume_key or None,
            "KeepAlivePeriodInSeconds": machines.keep_alive or None,
        }
    )


def _channel(channel: Channel) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": channel.uri,
        "S3DataDistributionType": channel.distribution,
    }
    return present(
        {
            "ChannelName": channel.name,
            "DataSource": {"S3DataSource": source},
            "ContentType": channel.content_type or None,
            "InputMode": channel.mode,
        }
    )
