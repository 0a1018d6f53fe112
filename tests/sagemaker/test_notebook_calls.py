"""The calls of public sample notebooks for custom containers, in their order; docs/emulator.md names the notebooks."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import ROLE, Emulator, emulate, training_request
from tests.sagemaker.hosting import SERVE_IMAGE, archive

PROGRAMS = Path(__file__).parent / "programs"
SOON = {"Delay": 1}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    """An emulator whose images hold programs that return their input."""
    running = emulate(tmp_path_factory.mktemp("notebook") / "data", "--hold", "20", "--programs", str(PROGRAMS))
    running.client("s3").create_bucket(Bucket="photos")
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"


def trained(notebook: Emulator, name: str, value: str) -> str:
    """Train a job whose model holds `value`, wait with boto3's waiter, make a model from Describe's answer, and return its name."""
    client = notebook.client("sagemaker")
    notebook.client("s3").put_object(Bucket="photos", Key="data/a.csv", Body=b"1,2\n")
    channel = {
        "ChannelName": "train",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": "s3://photos/data",
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "CompressionType": "None",
        "RecordWrapperType": "None",
        "ContentType": "text/csv",
    }
    request = training_request(name, HyperParameters={"do": "score", "value": value}, InputDataConfig=[channel])
    client.create_training_job(**request)
    client.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig=SOON)
    job = client.describe_training_job(TrainingJobName=name)
    container = {
        "Image": SERVE_IMAGE,
        "Mode": "SingleModel",
        "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        "Environment": {"SAGEMAKER_CONTAINER_LOG_LEVEL": "20"},
    }
    client.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=[container])
    return name


def config(client: Any, model: str, **variant: Any) -> str:
    entry = {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": "ml.m4.xlarge", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName=model, ProductionVariants=[entry | variant])
    return model


def shown(runtime: Any, endpoint: str, **request: Any) -> Any:
    """Invoke an endpoint and return the container's answer about its model."""
    answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="application/x-image", Body=b"photo", **request)
    return json.loads(answer["Body"].read())["name"]


def test_a_second_job_takes_the_place_of_the_first_behind_its_endpoint_and_serves_a_batch(notebook: Emulator) -> None:
    client, runtime = notebook.client("sagemaker"), notebook.client("sagemaker-runtime")
    first = config(client, trained(notebook, "first", "1"))
    client.create_endpoint(EndpointName="endpoint", EndpointConfigName=first)
    client.get_waiter("endpoint_in_service").wait(EndpointName="endpoint", WaiterConfig=SOON)
    assert shown(runtime, "endpoint") == "1"
    second = config(client, trained(notebook, "second", "2"))
    client.update_endpoint(EndpointName="endpoint", EndpointConfigName=second)
    client.get_waiter("endpoint_in_service").wait(EndpointName="endpoint", WaiterConfig=SOON)
    assert shown(runtime, "endpoint") == "2"
    client.create_transform_job(
        TransformJobName="batch",
        ModelName=second,
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://photos/data/a.csv"}},
            "ContentType": "application/json",
            "CompressionType": "None",
        },
        TransformOutput={"S3OutputPath": "s3://photos/batch", "Accept": "application/json"},
        TransformResources={"InstanceType": "ml.m4.xlarge", "InstanceCount": 1},
    )
    client.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="batch", WaiterConfig=SOON)
    body = notebook.client("s3").get_object(Bucket="photos", Key="batch/a.csv.out")["Body"].read()
    assert json.loads(body)["name"] == "2"
    client.delete_endpoint(EndpointName="endpoint")


def test_models_of_a_region_are_served_by_one_endpoint_also_those_that_come_later(notebook: Emulator) -> None:
    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=notebook.url, region_name="us-west-2")

    s3, sagemaker, runtime = client("s3"), client("sagemaker"), client("sagemaker-runtime")
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket="western")
    s3.create_bucket(Bucket="western", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.upload_fileobj(io.BytesIO(archive({"name": b"small"})), "western", "models/small.tar.gz")
    container = {
        "Image": SERVE_IMAGE,
        "ModelDataUrl": "https://s3-us-west-2.amazonaws.com/western/models/",
        "Mode": "MultiModel",
    }
    sagemaker.create_model(ModelName="several", ExecutionRoleArn=ROLE, Containers=[container])
    config(sagemaker, "several", InitialInstanceCount=2, InitialVariantWeight=1)
    sagemaker.create_endpoint(EndpointName="several", EndpointConfigName="several")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="several", WaiterConfig=SOON)
    assert shown(runtime, "several", TargetModel="small.tar.gz") == "small"
    s3.upload_fileobj(io.BytesIO(archive({"name": b"later"})), "western", "models/folder/later.tar.gz")
    assert shown(runtime, "several", TargetModel="folder/later.tar.gz") == "later"
    sagemaker.delete_endpoint(EndpointName="several")
    sagemaker.delete_endpoint_config(EndpointConfigName="several")
    sagemaker.delete_model(ModelName="several")


def test_an_asynchronous_endpoint_is_registered_for_scaling_to_zero_and_its_answers_are_polled(
    notebook: Emulator,
) -> None:
    client, s3, scaling = (notebook.client(name) for name in ("sagemaker", "s3", "application-autoscaling"))
    model = trained(notebook, "queued", "3")
    variant = {"VariantName": "one", "ModelName": model, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    client.create_endpoint_config(
        EndpointConfigName=model,
        ProductionVariants=[variant],
        AsyncInferenceConfig={
            "OutputConfig": {"S3OutputPath": "s3://photos/answers"},
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        },
    )
    client.create_endpoint(EndpointName=model, EndpointConfigName=model)
    client.get_waiter("endpoint_in_service").wait(EndpointName=model, WaiterConfig=SOON)
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{model}/variant/one",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=5)
    metric = {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "EndpointName", "Value": model}],
        "Statistic": "Average",
    }
    scaling.put_scaling_policy(
        **target,
        PolicyName="backlog",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 5.0, "CustomizedMetricSpecification": metric},
    )
    s3.put_object(Bucket="photos", Key="in/1", Body=b"1 1:0.5", ContentType="text/libsvm")
    answer = notebook.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=model, InputLocation="s3://photos/in/1"
    )
    key = answer["OutputLocation"].removeprefix("s3://photos/")
    while True:
        try:
            body = s3.get_object(Bucket="photos", Key=key)["Body"].read()
            break
        except s3.exceptions.NoSuchKey:
            continue
    assert json.loads(body)["name"] == "3"
    scaling.deregister_scalable_target(**target)
    client.delete_endpoint(EndpointName=model)


def test_a_repository_for_an_image_is_made_where_there_is_none(notebook: Emulator) -> None:
    ecr = notebook.client("ecr")
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_repositories(repositoryNames=["team/mine"])
    made = ecr.create_repository(repositoryName="team/mine")["repository"]["repositoryUri"]
    assert made == "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/mine"
    assert ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
