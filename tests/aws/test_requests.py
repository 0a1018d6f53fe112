"""Requests hold everything in their specification, in the API's own members, and nothing else."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from launch.aws import check
from launch.aws.requests import hosting, training, tuning
from tests.aws.specifications import (
    APART,
    ASYNC,
    CAPTURED,
    COMPLETED,
    GOOD,
    HOSTING,
    HYPERBAND,
    MULTI,
    ROLE,
    SERVERLESS,
    SPOT,
    TRAIN_IMAGE,
    TRAINING,
    TRANSFORM,
    TUNING,
    WARM,
    changed,
    requests,
)
from train.config import METRIC_DEFINITIONS

SENT_TAGS = [{"Key": "project", "Value": "dogs"}, {"Key": "run", "Value": "dogs-1"}]


@pytest.mark.parametrize("wanted", GOOD.values(), ids=GOOD)
def test_a_good_specification_passes_the_checks(wanted: Any) -> None:
    check.check_all(list(requests(wanted).items()))


@pytest.mark.parametrize("wanted", GOOD.values(), ids=GOOD)
def test_every_request_carries_the_tags(wanted: Any) -> None:
    assert [request["Tags"] for request in requests(wanted).values()] == [SENT_TAGS] * len(requests(wanted))


def test_a_plain_training_job_is_this_request() -> None:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://photos/data/train/", "S3DataDistributionType": "FullyReplicated"}
    request = training.training_job(TRAINING)
    assert request.pop("InputDataConfig")[0] == {
        "ChannelName": "train",
        "DataSource": {"S3DataSource": source},
        "InputMode": "File",
    }
    assert request == {
        "TrainingJobName": "dogs-1",
        "HyperParameters": {"backbone": "timm/tf_efficientnet_lite0", "epochs": "2"},
        "AlgorithmSpecification": {
            "TrainingImage": TRAIN_IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": METRIC_DEFINITIONS,
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://photos/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "ProfilerConfig": {"DisableProfiler": True},
        "Tags": SENT_TAGS,
    }


def test_a_spot_job_has_checkpoints_retries_and_twice_its_time() -> None:
    request = training.training_job(SPOT)
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200}
    assert request["CheckpointConfig"] == {"S3Uri": SPOT.checkpoints, "LocalPath": "/opt/ml/checkpoints"}
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 3}
    assert request["Environment"] == {"A": "b"}
    waits = changed(SPOT, machines__max_wait=900)
    assert training.training_job(waits)["StoppingCondition"]["MaxWaitTimeInSeconds"] == 900


def test_a_job_that_is_set_apart_has_its_network_and_keys() -> None:
    request = training.training_job(changed(TRAINING, identity__security=APART))
    assert request["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1a", "subnet-1b"]}
    assert request["EnableNetworkIsolation"] and request["EnableInterContainerTrafficEncryption"]
    assert request["ResourceConfig"]["VolumeKmsKeyId"] == "alias/volumes"
    assert request["OutputDataConfig"]["KmsKeyId"] == "alias/outputs"


def test_several_types_of_a_training_job_are_preferences_with_one_count() -> None:
    request = training.training_job(
        changed(TRAINING, machines__types=("ml.g5.xlarge", "ml.g4dn.xlarge"), machines__count=2)
    )
    assert request["ResourceConfig"] == {
        "InstancePreferences": [{"InstanceType": "ml.g5.xlarge"}, {"InstanceType": "ml.g4dn.xlarge"}],
        "InstanceCount": 2,
        "VolumeSizeInGB": 30,
    }


def test_a_tuning_job_repeats_the_training_job_and_varies_its_ranges() -> None:
    request = tuning.tuning_job(changed(TUNING, training=changed(SPOT, hyperparameters={"backbone": "resnet18"})))
    definition = request["TrainingJobDefinition"]
    single = training.training_job(SPOT)
    shared = definition.keys() & single.keys()
    assert {name: definition[name] for name in shared} == {name: single[name] for name in shared}
    assert definition.keys() - shared == {"StaticHyperParameters", "HyperParameterTuningResourceConfig"}
    assert single.keys() - shared == {"TrainingJobName", "HyperParameters", "ProfilerConfig", "Tags", "ResourceConfig"}
    assert definition["HyperParameterTuningResourceConfig"] == single["ResourceConfig"]
    config = request["HyperParameterTuningJobConfig"]
    assert config["ParameterRanges"] == {
        "IntegerParameterRanges": [{"Name": "epochs", "MinValue": "2", "MaxValue": "5", "ScalingType": "Auto"}],
        "ContinuousParameterRanges": [
            {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
        ],
        "CategoricalParameterRanges": [{"Name": "batch-size", "Values": ["64", "128"]}],
    }
    assert config["HyperParameterTuningJobObjective"] == {"Type": "Maximize", "MetricName": "validation:accuracy"}
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 8, "MaxParallelTrainingJobs": 2}
    assert config["RandomSeed"] == 7 and config["TrainingJobEarlyStoppingType"] == "Off"


def test_several_types_of_a_tuning_job_are_tried_in_order_and_may_be_spot() -> None:
    several = changed(TUNING, training__machines__types=("ml.g5.xlarge", "ml.m5.large"), training__machines__spot=True)
    assert tuning.tuning_job(several)["TrainingJobDefinition"]["HyperParameterTuningResourceConfig"] == {
        "InstanceConfigs": [
            {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
            {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        ],
        "AllocationStrategy": "Prioritized",
    }


def test_strategies_completion_and_warm_start_reach_the_request() -> None:
    band = tuning.tuning_job(HYPERBAND)["HyperParameterTuningJobConfig"]
    assert band["StrategyConfig"] == {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}}
    config = tuning.tuning_job(COMPLETED)["HyperParameterTuningJobConfig"]
    assert config["TuningJobCompletionCriteria"] == {
        "TargetObjectiveMetricValue": 0.95,
        "BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 5},
        "ConvergenceDetected": {"CompleteOnConvergence": "Enabled"},
    }
    assert config["TrainingJobEarlyStoppingType"] == "Auto"
    assert config["ResourceLimits"]["MaxRuntimeInSeconds"] == 7200
    assert tuning.tuning_job(WARM)["WarmStartConfig"] == {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "dogs-0"}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }


def test_the_kinds_of_endpoints_differ_in_their_variant_and_configuration() -> None:
    serverless = hosting.endpoint_config(SERVERLESS)
    assert serverless["ProductionVariants"] == [
        {
            "VariantName": "AllTraffic",
            "ModelName": "dogs-1",
            "InitialVariantWeight": 1.0,
            "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 3},
        }
    ]
    assert "MetricsConfig" not in serverless
    assert hosting.endpoint_config(ASYNC)["AsyncInferenceConfig"] == {
        "OutputConfig": {"S3OutputPath": "s3://photos/answers", "S3FailurePath": "s3://photos/failures"},
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
    }
    assert hosting.model(MULTI.model)["PrimaryContainer"]["Mode"] == "MultiModel"
    (variant,) = hosting.endpoint_config(CAPTURED)["ProductionVariants"]
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 300 and variant["InitialInstanceCount"] == 2
    assert hosting.endpoint_config(CAPTURED)["DataCaptureConfig"]["InitialSamplingPercentage"] == 50
    pools = hosting.endpoint_config(changed(HOSTING, types=("ml.g5.xlarge", "ml.g4dn.xlarge")))["ProductionVariants"][0]
    assert pools["InstancePools"] == [
        {"InstanceType": "ml.g5.xlarge", "Priority": 1},
        {"InstanceType": "ml.g4dn.xlarge", "Priority": 2},
    ]
    assert "InstanceType" not in pools


def test_detailed_metrics_that_cost_are_off_unless_they_are_asked_for() -> None:
    assert hosting.endpoint_config(HOSTING)["MetricsConfig"] == {"EnableDetailedObservability": False}
    asked = changed(HOSTING, detailed_metrics=True)
    assert hosting.endpoint_config(asked)["MetricsConfig"] == {"EnableDetailedObservability": True}


def test_a_version_of_the_model_registry_takes_the_place_of_image_and_data() -> None:
    package = "arn:aws:sagemaker:us-east-1:123456789012:model-package/dogs/1"
    request = hosting.model(changed(HOSTING.model, package=package, environment={"A": "b"}))
    assert request["Containers"] == [{"ModelPackageName": package, "Environment": {"A": "b"}}]
    assert "PrimaryContainer" not in request


def fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of every field of a specification, including the fields of its parts."""
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        yield f"{path}{field.name}", held
        if dataclasses.is_dataclass(held):
            yield from fields(held, f"{path}{field.name}__")


BASES = {
    "training": changed(SPOT, machines__max_wait=0),
    "tuning": changed(COMPLETED, parents=("dogs-0",), training__machines__spot=True),
    "hosting": changed(CAPTURED, asynchronous=ASYNC.asynchronous),
    "serverless": SERVERLESS,
    "transform": TRANSFORM,
}
EXCEPTIONS = {
    # A transform job has no volume, time limit, spot or warm pool in the API.
    "transform": {"machines__volume_gb", "machines__max_run", "machines__spot", "machines__max_wait"}
    | {"machines__keep_alive", "machines__retries"},
    # Traffic is encrypted between the hosts of a job; an endpoint has no such setting.
    "hosting": {"model__identity__security__encrypt_traffic"},
    # Fields that only an endpoint with instances has.
    "serverless": {"count", "types", "detailed_metrics", "model__identity__security__encrypt_traffic"}
    | {"model__identity__security__output_key"},
}


@pytest.mark.parametrize("kind", BASES)
def test_every_field_of_a_specification_reaches_a_request(kind: str) -> None:
    base = BASES[kind]
    silent = set()
    for path, held in fields(base):
        if dataclasses.is_dataclass(held) or held is None or path.endswith("overrides"):
            continue
        name = path.split("__")[-1]
        if isinstance(held, bool):
            other: Any = not held
        elif isinstance(held, int):
            other = held + 1
        elif isinstance(held, float):
            other = held / 2
        elif isinstance(held, str):
            other = held + "x"
        elif isinstance(held, dict):
            other = {**held, "x": "y"}
        elif name in ("types", "subnets", "groups", "parents"):
            other = ("other",)
        else:
            other = held[:-1]
        if requests(changed(base, **{path: other})) == requests(base):
            silent.add(path)
    assert silent == EXCEPTIONS.get(kind, set())
