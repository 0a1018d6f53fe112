"""Requests in the forms that others send to AWS, with our values, and shared parts of their tests.

The forms have two sources: the end-to-end tests of the SageMaker controller of AWS Controllers for Kubernetes (ACK), which run against AWS,
and the samples of the developer guide.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.sagemaker.commands import PROGRAMS
from tests.sagemaker.conftest import ROLE, TRAIN_IMAGE, emulate
from tests.sagemaker.hosting import Hosting

TAGS = [{"Key": "algorithm", "Value": "trees"}, {"Key": "environment", "Value": "testing"}]
IN_FILES = {"CompressionType": "None", "RecordWrapperType": "None", "InputMode": "File"}
SCORE = [{"Name": "score", "Regex": "score=([0-9.]+)"}]
TRANSFORM = {
    "TransformJobName": "transform",
    "ModelName": "model",
    "TransformInput": {
        "ContentType": "text/csv",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/batch"}},
    },
    "TransformOutput": {"S3OutputPath": "s3://data/transformed"},
    "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
}
DATA = "s3://models/model/model.tar.gz"
NAMES = {
    "training_job": "TrainingJobName",
    "hyper_parameter_tuning_job": "HyperParameterTuningJobName",
    "transform_job": "TransformJobName",
    "model": "ModelName",
    "endpoint_config": "EndpointConfigName",
    "endpoint": "EndpointName",
}


def hosted(folder: Path) -> Iterator[Hosting]:
    """Run an emulator with programs that return their input, some data and a model."""
    running = emulate(folder / "data", "--hold", "20", "--programs", str(PROGRAMS))
    found = Hosting(running)
    for bucket in ("data", "models"):
        found.s3.create_bucket(Bucket=bucket)
    for key in ("train/1", "validation/1", "batch/1"):
        found.s3.put_object(Bucket="data", Key=key, Body=b"one")
    found.model("model")
    yield found
    assert running.end() == 130, running.output.read_text()


def channel(name: str, **more: Any) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"s3://data/{name}",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "ContentType": "text/csv", **more}


def training(name: str, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "HyperParameters": {"do": "score", "value": "0.5"},
        "AlgorithmSpecification": {"TrainingImage": TRAIN_IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://data/output"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        "RetryStrategy": {"MaximumRetryAttempts": 2},
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
        "InputDataConfig": [channel("train", CompressionType="None"), channel("validation", CompressionType="None")],
        **more,
    }


def tuning(name: str, metrics: list[dict[str, str]], **config: Any) -> dict[str, Any]:
    algorithm = {"TrainingImage": TRAIN_IMAGE, "TrainingInputMode": "File", "MetricDefinitions": metrics}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "IntegerParameterRanges": [
                    {"Name": "value", "MinValue": "10", "MaxValue": "20", "ScalingType": "Linear"}
                ],
                "ContinuousParameterRanges": [],
                "CategoricalParameterRanges": [],
            },
            "TrainingJobEarlyStoppingType": "Auto",
            **config,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"do": "score"},
            "AlgorithmSpecification": {member: value for member, value in algorithm.items() if value},
            "RoleArn": ROLE,
            "InputDataConfig": [channel("train", **IN_FILES), channel("validation", **IN_FILES)],
            "OutputDataConfig": {"S3OutputPath": "s3://data/output"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 25},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": False,
        },
    }


def describe(hosting: Hosting, kind: str, name: str) -> dict[str, Any]:
    """Wait until a job has ended, and return Describe's answer."""
    while True:
        answer: dict[str, Any] = getattr(hosting.sagemaker, f"describe_{kind}")(**{NAMES[kind]: name})
        if "InProgress" not in (
            answer.get(f"{word}JobStatus") for word in ("Training", "HyperParameterTuning", "Transform")
        ):
            return answer


def kept(request: Any, answer: Any) -> bool:
    """Return whether an answer holds everything in a request; AWS may have added members."""
    if isinstance(request, dict):
        return all(name in answer and kept(value, answer[name]) for name, value in request.items())
    if isinstance(request, list):
        return len(request) == len(answer) and all(map(kept, request, answer))
    return bool(request == answer)


def variant(name: str, **more: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": "model",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
        **more,
    }


CAPTURE = {
    "EnableCapture": True,
    "DestinationS3Uri": "s3://data/capture",
    "InitialSamplingPercentage": 100,
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
}
# A request like the guide's sample for tuning, with ranges without a scale and with a seed.
GUIDE = {
    "ParameterRanges": {
        "CategoricalParameterRanges": [],
        "ContinuousParameterRanges": [{"MaxValue": "1", "MinValue": "0", "Name": "value"}],
        "IntegerParameterRanges": [{"MaxValue": "10", "MinValue": "1", "Name": "depth"}],
    },
    "RandomSeed": 123,
}
