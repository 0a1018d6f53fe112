"""Training jobs through boto3: real photos, the real training program, as SageMaker describes them."""

import io
import tarfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.conftest import Emulator, ended, put_photos, refusal, training_request

LOGS = "/aws/sagemaker/TrainingJobs"
ACCURACY = {"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}


@pytest.fixture(scope="module", autouse=True)
def photos(emulator: Emulator, samples: Path) -> None:
    put_photos(emulator, samples)


@pytest.fixture(scope="module")
def sagemaker(emulator: Emulator) -> Any:
    return emulator.client("sagemaker")


@pytest.fixture(scope="module")
def completed(emulator: Emulator, photos: None, sagemaker: Any) -> dict[str, Any]:
    """One job of our training image, run to its end."""
    algorithm = {
        "TrainingImage": "byoc-classifier-train:cpu",
        "TrainingInputMode": "File",
        "MetricDefinitions": [ACCURACY],
    }
    request = training_request("whole", AlgorithmSpecification=algorithm, Environment={"A_USERS": "variable"})
    arn = sagemaker.create_training_job(**request, Tags=[{"Key": "team", "Value": "dogs"}])["TrainingJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:training-job/whole"
    return ended(sagemaker, "whole")


def test_a_job_runs_the_training_program_and_completes(completed: dict[str, Any]) -> None:
    assert completed["TrainingJobStatus"] == completed["SecondaryStatus"] == "Completed"
    phases = [entry["Status"] for entry in completed["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(entry["EndTime"] >= entry["StartTime"] for entry in completed["SecondaryStatusTransitions"])
    assert completed["TrainingTimeInSeconds"] >= 1
    assert completed["TrainingStartTime"] < completed["TrainingEndTime"]


def test_describe_echoes_the_request_and_what_clients_read_without_default(completed: dict[str, Any]) -> None:
    assert completed["OutputDataConfig"]["KmsKeyId"] == ""
    assert completed["ResourceConfig"]["VolumeSizeInGB"] == 30
    assert completed["Environment"] == {"A_USERS": "variable"}
    assert completed["HyperParameters"]["epochs"] == "2"
    assert completed["StoppingCondition"] == {"MaxRuntimeInSeconds": 600}
    assert "Tags" not in completed


def test_the_model_is_an_archive_in_s3(emulator: Emulator, completed: dict[str, Any]) -> None:
    assert completed["ModelArtifacts"] == {"S3ModelArtifacts": "s3://photos/output/whole/output/model.tar.gz"}
    body = emulator.client("s3").get_object(Bucket="photos", Key="output/whole/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert {"model.json", "model.safetensors"} <= set(tar.getnames())


def test_the_log_is_a_stream_of_its_own(emulator: Emulator, completed: dict[str, Any]) -> None:
    logs = emulator.client("logs")
    streams = logs.describe_log_streams(logGroupName=LOGS, logStreamNamePrefix="whole/")["logStreams"]
    assert [stream["logStreamName"].rpartition("-")[0] for stream in streams] == ["whole/algo-1"]
    events = logs.get_log_events(logGroupName=LOGS, logStreamName=streams[0]["logStreamName"], startFromHead=True)[
        "events"
    ]
    assert any("epoch=2" in event["message"] for event in events)


def test_metrics_are_found_in_the_log_and_put_into_cloudwatch(emulator: Emulator, completed: dict[str, Any]) -> None:
    [final] = completed["FinalMetricDataList"]
    assert final["MetricName"] == "validation:accuracy" and 0 < final["Value"] <= 1
    points = emulator.client("cloudwatch").get_metric_statistics(
        Namespace=LOGS,
        MetricName="validation:accuracy",
        Dimensions=[{"Name": "TrainingJobName", "Value": "whole"}],
        StartTime=completed["CreationTime"] - timedelta(minutes=2),
        EndTime=completed["TrainingEndTime"] + timedelta(minutes=2),
        Period=60,
        Statistics=["SampleCount", "Maximum"],
    )["Datapoints"]
    assert sum(point["SampleCount"] for point in points) == 2  # epochs
    assert max(point["Maximum"] for point in points) >= final["Value"]


def test_a_failed_job_says_what_the_program_left_as_its_failure(sagemaker: Any) -> None:
    sagemaker.create_training_job(**training_request("fails", HyperParameters={"no-such-name": "1"}))
    job = ended(sagemaker, "fails")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ") and "no-such-name" in job["FailureReason"]
    assert job["FailureReason"].endswith(", exit code: 1")
    assert "ModelArtifacts" not in job


@pytest.mark.slow
def test_a_stopped_job_keeps_the_model_that_it_wrote_after_sigterm(emulator: Emulator, sagemaker: Any) -> None:
    # 4,000 epochs take minutes. The default backbone would not do: a job without its weights fails by itself.
    many = {"backbone": "timm/tf_efficientnet_lite0", "epochs": "4000", "precision": "fp32", "patience": "0"}
    sagemaker.create_training_job(**training_request("stopped", HyperParameters=many))
    wait_for_line(emulator, "stopped", "epoch=")
    sagemaker.stop_training_job(TrainingJobName="stopped")
    job = ended(sagemaker, "stopped")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("/stopped/output/model.tar.gz")
    assert refusal(sagemaker.stop_training_job, TrainingJobName="stopped") == (
        "ValidationException",
        "The request was rejected because the training job is in status Stopped.",
    )


@pytest.mark.slow
def test_a_job_that_runs_too_long_is_stopped(sagemaker: Any) -> None:
    many = {"backbone": "timm/tf_efficientnet_lite0", "epochs": "4000", "precision": "fp32", "patience": "0"}
    condition = {"MaxRuntimeInSeconds": 2}
    sagemaker.create_training_job(**training_request("long", HyperParameters=many, StoppingCondition=condition))
    job = ended(sagemaker, "long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_name_is_used_once(sagemaker: Any, completed: dict[str, Any]) -> None:
    code, text = refusal(sagemaker.create_training_job, **training_request("whole"))
    assert code == "ResourceInUse" and "already exists" in text


def test_a_job_that_is_not_there_is_not_found(sagemaker: Any) -> None:
    assert refusal(sagemaker.describe_training_job, TrainingJobName="nobody") == (
        "ValidationException",
        "Requested resource not found.",
    )


def test_tags_come_with_the_job_and_can_be_changed(sagemaker: Any, completed: dict[str, Any]) -> None:
    arn = completed["TrainingJobArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "dogs"}]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "cost", "Value": "none"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "cost", "Value": "none"}]


@pytest.mark.parametrize(
    "changes, text",
    [
        (
            {"ResourceConfig": {"InstanceType": "ml.x9.tiny", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "1 validation error detected: Value 'ml.x9.tiny' at 'resourceConfig.instanceType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [",
        ),
        ({"TrainingJobName": "with_underscore"}, "Member must satisfy regular expression pattern: [a-zA-Z0-9]"),
        ({"HyperParameters": {"long": "x" * 2501}}, "Member must have length less than or equal to 2500"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds must be set"),
        ({"StoppingCondition": {"MaxWaitTimeInSeconds": 5}}, "only when EnableManagedSpotTraining"),
        (
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 0, "VolumeSizeInGB": 1}},
            "InstanceCount of 1 or more",
        ),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "TrainingImage is missing"),
    ],
)
def test_a_wrong_request_is_refused_in_aws_words(sagemaker: Any, changes: dict[str, Any], text: str) -> None:
    code, message = refusal(sagemaker.create_training_job, **training_request("wrong", **changes))
    assert code == "ValidationException" and text in message


def test_data_that_are_not_there_are_named(sagemaker: Any) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://photos/nowhere"}}
    request = training_request("nodata", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    code, message = refusal(sagemaker.create_training_job, **request)
    assert code == "ValidationException" and 'No S3 objects found under S3 URL "s3://photos/nowhere"' in message


def test_an_image_of_another_project_is_refused_by_name(sagemaker: Any) -> None:
    algorithm = {"TrainingImage": "somebody/else:1", "TrainingInputMode": "File"}
    code, message = refusal(
        sagemaker.create_training_job, **training_request("other", AlgorithmSpecification=algorithm)
    )
    assert code == "NotEmulated" and "somebody/else:1" in message


def test_an_action_that_is_not_emulated_is_refused_by_name(sagemaker: Any) -> None:
    code, message = refusal(sagemaker.list_processing_jobs)
    assert code == "NotEmulated" and "ListProcessingJobs" in message


@pytest.mark.parametrize(
    ("service", "action"), [("service-quotas", "list_service_quotas"), ("pricing", "get_products")]
)
def test_a_service_that_is_not_emulated_is_refused_by_name(emulator: Emulator, service: str, action: str) -> None:
    code, message = refusal(getattr(emulator.client(service), action), ServiceCode="AmazonSageMaker")
    assert code == "NotEmulated" and "is not emulated" in message


def test_an_action_that_moto_does_not_have_is_refused_by_name(emulator: Emulator) -> None:
    scaling = emulator.client("application-autoscaling")
    code, message = refusal(scaling.describe_scaling_activities, ServiceNamespace="sagemaker")
    assert code == "NotEmulated" and "DescribeScalingActivities is not emulated" in message


def test_jobs_are_listed_in_pages_with_filters(sagemaker: Any, completed: dict[str, Any]) -> None:
    pages = sagemaker.get_paginator("list_training_jobs").paginate(PaginationConfig={"PageSize": 1})
    names = [summary["TrainingJobName"] for page in pages for summary in page["TrainingJobSummaries"]]
    assert names[0] == "whole" and len(names) == len(set(names))
    found = sagemaker.list_training_jobs(StatusEquals="Completed", NameContains="who")["TrainingJobSummaries"]
    assert [summary["TrainingJobName"] for summary in found] == ["whole"]


def wait_for_line(emulator: Emulator, job: str, text: str) -> None:
    """Wait until a job's log has a line with a text. The log group does not exist before the first job runs its program."""
    logs = emulator.client("logs")
    ends = time.monotonic() + 300
    while time.monotonic() < ends:
        with suppress(logs.exceptions.ResourceNotFoundException):
            events = logs.filter_log_events(logGroupName=LOGS, logStreamNamePrefix=f"{job}/")["events"]
            if any(text in event["message"] for event in events):
                return
        time.sleep(0.2)
    raise AssertionError(f"the log of the job {job} has no line with {text!r} after 300 s")
