"""The emulator's answers have the members that AWS's answers have.

The members come from answers recorded in the tests of Cloud Custodian, and from those that ACK's controller expects. AWS adds members to
those of a request, and clients read some of these without a default.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sagemaker.conftest import ROLE, refusal
from tests.sagemaker.hosting import SERVE_IMAGE, Hosting
from tests.sagemaker.others import (
    DATA,
    NAMES,
    SCORE,
    TRANSFORM,
    channel,
    describe,
    hosted,
    kept,
    training,
    tuning,
)

# The members of each recorded answer. After "+" come those that ACK's controller expects AWS to add; [] is an entry of a list.
CHANNELS = """
    ChannelName CompressionType RecordWrapperType DataSource.S3DataSource.S3DataType DataSource.S3DataSource.S3Uri
    DataSource.S3DataSource.S3DataDistributionType
"""
COUNTERS = """
    ObjectiveStatusCounters.Failed ObjectiveStatusCounters.Pending ObjectiveStatusCounters.Succeeded
    TrainingJobStatusCounters.Completed TrainingJobStatusCounters.InProgress TrainingJobStatusCounters.NonRetryableError
    TrainingJobStatusCounters.RetryableError TrainingJobStatusCounters.Stopped
"""


def below(prefix: str, members: str) -> str:
    return " ".join(f"{prefix}.{member}" for member in members.split())


DEFINITION = (
    below("InputDataConfig[]", CHANNELS)
    + """
    AlgorithmSpecification.MetricDefinitions[].Name AlgorithmSpecification.MetricDefinitions[].Regex
    AlgorithmSpecification.TrainingImage AlgorithmSpecification.TrainingInputMode DefinitionName
    EnableInterContainerTrafficEncryption EnableManagedSpotTraining EnableNetworkIsolation
    HyperParameterRanges.IntegerParameterRanges[].MaxValue HyperParameterRanges.IntegerParameterRanges[].MinValue
    HyperParameterRanges.IntegerParameterRanges[].Name OutputDataConfig.S3OutputPath ResourceConfig.InstanceCount
    ResourceConfig.InstanceType ResourceConfig.VolumeSizeInGB RoleArn StaticHyperParameters._tuning_objective_metric
    StoppingCondition.MaxRuntimeInSeconds TuningObjective.MetricName TuningObjective.Type
"""
)
ANSWERS = {
    "describe_training_job": below("InputDataConfig[]", CHANNELS)
    + """
        AlgorithmSpecification.TrainingImage AlgorithmSpecification.TrainingInputMode CreationTime FailureReason
        HyperParameters.do LastModifiedTime OutputDataConfig.KmsKeyId OutputDataConfig.S3OutputPath
        ResourceConfig.InstanceCount ResourceConfig.InstanceType ResourceConfig.VolumeSizeInGB RoleArn SecondaryStatus
        StoppingCondition.MaxRuntimeInSeconds TrainingEndTime TrainingJobArn TrainingJobName TrainingJobStatus
        TrainingStartTime
    """,
    "describe_hyper_parameter_tuning_job": below("TrainingJobDefinitions[]", DEFINITION)
    + COUNTERS
    + """
        ConsumedResources.RuntimeInSeconds CreationTime HyperParameterTuningEndTime HyperParameterTuningJobArn
        HyperParameterTuningJobConfig.ResourceLimits.MaxNumberOfTrainingJobs
        HyperParameterTuningJobConfig.ResourceLimits.MaxParallelTrainingJobs HyperParameterTuningJobConfig.Strategy
        HyperParameterTuningJobName HyperParameterTuningJobStatus LastModifiedTime
        TuningJobCompletionDetails.NumberOfTrainingJobsObjectiveNotImproving
    """,
    "describe_transform_job": """
        CreationTime ModelName TransformEndTime TransformInput.CompressionType TransformInput.ContentType
        TransformInput.DataSource.S3DataSource.S3DataType TransformInput.DataSource.S3DataSource.S3Uri
        TransformInput.SplitType TransformJobArn TransformJobName TransformJobStatus TransformOutput.AssembleWith
        TransformOutput.KmsKeyId TransformOutput.S3OutputPath TransformResources.InstanceCount
        TransformResources.InstanceType TransformStartTime + DataProcessing.InputFilter DataProcessing.JoinSource
        DataProcessing.OutputFilter
    """,
    "describe_model": """
        CreationTime EnableNetworkIsolation ExecutionRoleArn ModelArn ModelName PrimaryContainer.Environment
        PrimaryContainer.Image PrimaryContainer.Mode
    """,
    "describe_endpoint_config": """
        CreationTime EndpointConfigArn EndpointConfigName ProductionVariants[].InitialInstanceCount
        ProductionVariants[].InitialVariantWeight ProductionVariants[].InstanceType ProductionVariants[].ModelName
        ProductionVariants[].VariantName + EnableNetworkIsolation
    """,
    "describe_endpoint": """
        CreationTime EndpointArn EndpointConfigName EndpointName EndpointStatus LastModifiedTime
        ProductionVariants[].CurrentInstanceCount ProductionVariants[].CurrentWeight
        ProductionVariants[].DesiredInstanceCount ProductionVariants[].DesiredWeight ProductionVariants[].VariantName
    """,
    "list_training_jobs": below(
        "TrainingJobSummaries[]",
        "CreationTime LastModifiedTime TrainingEndTime TrainingJobArn TrainingJobName TrainingJobStatus",
    ),
    "list_hyper_parameter_tuning_jobs": below(
        "HyperParameterTuningJobSummaries[]",
        COUNTERS
        + """
            CreationTime HyperParameterTuningEndTime HyperParameterTuningJobArn HyperParameterTuningJobName
            HyperParameterTuningJobStatus LastModifiedTime ResourceLimits.MaxNumberOfTrainingJobs
            ResourceLimits.MaxParallelTrainingJobs Strategy
        """,
    ),
    "list_transform_jobs": below(
        "TransformJobSummaries[]",
        "CreationTime LastModifiedTime TransformEndTime TransformJobArn TransformJobName TransformJobStatus",
    ),
    "list_models": below("Models[]", "CreationTime ModelArn ModelName"),
    "list_endpoint_configs": below("EndpointConfigs[]", "CreationTime EndpointConfigArn EndpointConfigName"),
    "list_endpoints": below("Endpoints[]", "CreationTime EndpointArn EndpointName EndpointStatus LastModifiedTime"),
}


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Hosting]:
    yield from hosted(tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def recorded(hosting: Hosting) -> dict[str, str]:
    """The names of one resource of each kind, made by requests without the members that AWS may add."""
    name, sagemaker = "recorded", hosting.sagemaker
    plain = [{member: value for member, value in channel("train").items() if member != "ContentType"}]
    failing = {"do": "fail", "text": "the data are not valid"}
    sagemaker.create_training_job(
        **{**training(name), "HyperParameters": failing, "InputDataConfig": plain}  # because the recorded jobs failed
    )
    request = tuning(name, SCORE)
    definition, config = request.pop("TrainingJobDefinition"), request["HyperParameterTuningJobConfig"]
    for flag in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption"):
        definition.pop(flag)
    config["TrainingJobEarlyStoppingType"] = "Off"
    definition |= {
        "DefinitionName": "trees",
        "TuningObjective": config.pop("HyperParameterTuningJobObjective"),
        "HyperParameterRanges": config.pop("ParameterRanges"),
        "InputDataConfig": plain,
    }
    sagemaker.create_hyper_parameter_tuning_job(**request, TrainingJobDefinitions=[definition])
    sagemaker.create_transform_job(**{**TRANSFORM, "TransformJobName": name})
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": SERVE_IMAGE, "ModelDataUrl": DATA}
    )
    hosting.endpoint(name, {"ModelName": name})
    for kind in NAMES:
        describe(hosting, kind, name)
    return dict.fromkeys(NAMES, name)


def members(value: Any, path: str = "") -> set[str]:
    """Return the paths of all members of an answer. Of a list, these are the members that all of its entries have."""
    if isinstance(value, dict):
        inner = [members(entry, f"{path}.{name}" if path else name) for name, entry in value.items()]
        return {path}.union(*inner)
    if isinstance(value, list):
        return {path}.union(*[set.intersection(*[members(entry, f"{path}[]") for entry in value])] if value else [])
    return {path}


@pytest.mark.parametrize("call", ANSWERS)
def test_an_answer_has_the_members_that_aws_answered(hosting: Hosting, recorded: dict[str, str], call: str) -> None:
    kind = call.partition("_")[2]
    if call.startswith("describe"):
        answer = describe(hosting, kind, recorded[kind])
    else:
        answer = getattr(hosting.sagemaker, call)(NameContains="recorded")
    expected = set(ANSWERS[call].replace("+", " ").split())
    assert not expected - members(answer), json.dumps(answer, default=str)


def test_what_aws_adds_has_the_recorded_values(hosting: Hosting, recorded: dict[str, str]) -> None:
    training_job = describe(hosting, "training_job", recorded["training_job"])
    assert kept([{"CompressionType": "None", "RecordWrapperType": "None"}], training_job["InputDataConfig"])
    assert training_job["SecondaryStatus"] == training_job["TrainingJobStatus"] == "Failed"
    transform_job = describe(hosting, "transform_job", recorded["transform_job"])
    assert transform_job["TransformInput"]["CompressionType"] == transform_job["TransformInput"]["SplitType"] == "None"
    assert kept({"AssembleWith": "None", "KmsKeyId": ""}, transform_job["TransformOutput"])
    model = describe(hosting, "model", recorded["model"])
    assert kept({"Mode": "SingleModel", "Environment": {}}, model["PrimaryContainer"])


def test_a_missing_model_is_reported_in_the_words_of_aws(hosting: Hosting) -> None:
    code, text = refusal(hosting.sagemaker.describe_model, ModelName="none")
    assert code == "ValidationException"
    assert text == 'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/none".'
