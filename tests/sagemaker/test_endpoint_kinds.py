"""Asynchronous, serverless and multi-model endpoints, and data capture, with a program that returns its input."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.conftest import emulate, refusal
from tests.sagemaker.hosting import Hosting, archive
from tests.server import until

PROGRAMS = Path(__file__).parent / "programs"
SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Hosting]:
    running = emulate(tmp_path_factory.mktemp("kinds") / "data", "--hold", "20", "--programs", str(PROGRAMS))
    found = Hosting(running)
    for bucket in ("models", "answers"):
        found.s3.create_bucket(Bucket=bucket)
    found.model("first")
    yield found
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished server has left files"


def content(hosting: Hosting, address: str) -> tuple[str, bytes]:
    """Wait until an object exists, and return its type and content."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    hosting.s3.get_waiter("object_exists").wait(Bucket=bucket, Key=key, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    found = hosting.s3.get_object(Bucket=bucket, Key=key)
    return found["ContentType"], found["Body"].read()


@pytest.fixture(scope="module")
def queue(hosting: Hosting) -> str:
    """An asynchronous endpoint that notifies a topic of success and errors, and a queue that subscribes to it."""
    sns, sqs = hosting.emulator.client("sns"), hosting.emulator.client("sqs")
    topic = sns.create_topic(Name="notified")["TopicArn"]
    url: str = sqs.create_queue(QueueName="notified")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    output = {
        "S3OutputPath": "s3://answers/good",
        "S3FailurePath": "s3://answers/bad",
        "NotificationConfig": {"SuccessTopic": topic, "ErrorTopic": topic},
    }
    client = {"MaxConcurrentInvocationsPerInstance": 1}
    config = {"OutputConfig": output, "ClientConfig": client}
    found = hosting.endpoint("queued", {"ModelName": "first"}, AsyncInferenceConfig=config)
    assert found["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"] == "s3://answers/good"
    return url


def test_an_asynchronous_answer_is_put_into_s3_and_reported_to_a_topic(hosting: Hosting, queue: str) -> None:
    hosting.s3.put_object(Bucket="answers", Key="in/1.json", Body=b'{"do": "show"}')
    answer = hosting.runtime.invoke_endpoint_async(
        EndpointName="queued",
        InputLocation="s3://answers/in/1.json",
        ContentType="application/json",
        InferenceId="mine",
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202 and answer["InferenceId"] == "mine"
    assert answer["OutputLocation"].startswith("s3://answers/good/") and answer["OutputLocation"].endswith(".out")
    kind, body = content(hosting, answer["OutputLocation"])
    shown = json.loads(body)
    assert kind == "application/json" and shown["bytes"] == 14
    assert shown["headers"]["Content-Type"] == "application/json"
    notification = message(hosting, queue, "mine")
    assert notification["invocationStatus"] == "Completed"
    assert notification["responseParameters"]["outputLocation"] == answer["OutputLocation"]
    assert notification["requestParameters"]["inputLocation"] == "s3://answers/in/1.json"


def test_an_asynchronous_failure_has_its_own_place(hosting: Hosting, queue: str) -> None:
    body = json.dumps({"do": "status", "status": 422, "text": "not an image"})
    answer = hosting.runtime.invoke_endpoint_async(EndpointName="queued", Body=body, ContentType="application/json")
    _, text = content(hosting, answer["FailureLocation"])
    assert b'Received client error (422) from primary with message "not an image"' in text
    assert message(hosting, queue, answer["InferenceId"])["invocationStatus"] == "Failed"


def test_asynchronous_requests_wait_for_their_turn(hosting: Hosting, queue: str) -> None:
    body = json.dumps({"do": "sleep", "seconds": 0.5})
    answers = [hosting.runtime.invoke_endpoint_async(EndpointName="queued", Body=body) for _ in range(3)]
    for answer in answers:
        content(hosting, answer["OutputLocation"])
    times = [
        hosting.s3.head_object(Bucket="answers", Key=answer["OutputLocation"].removeprefix("s3://answers/"))
        for answer in answers
    ]
    assert times[0]["LastModified"] <= times[1]["LastModified"] <= times[2]["LastModified"]
    assert (times[2]["LastModified"] - times[0]["LastModified"]).total_seconds() >= 1


def test_the_name_of_an_asynchronous_answer_can_be_given(hosting: Hosting, queue: str) -> None:
    answer = hosting.runtime.invoke_endpoint_async(
        EndpointName="queued", Body=b"{}", Filename="mine.json", S3OutputPathExtension="run/7"
    )
    assert answer["OutputLocation"] == "s3://answers/good/run/7/mine.json"


@pytest.mark.parametrize(
    "request_, text",
    [
        ({}, "mutually exclusive"),
        ({"Body": b"x" * 128_001}, "HTTP content length exceeded 128000 bytes."),
        ({"InputLocation": "s3://answers/nowhere"}, "Could not find the input s3://answers/nowhere"),
        (
            {"InputLocation": "https://s3.amazonaws.com/answers/nowhere"},
            "Could not find the input s3://answers/nowhere",
        ),
        ({"InputLocation": "https://example.com/answers/1"}, "is not an address in S3"),
        ({"Body": b"x", "RequestTTLSeconds": 21601}, "less than or equal to 21600"),
    ],
)
def test_a_wrong_asynchronous_request_is_refused(
    hosting: Hosting, queue: str, request_: dict[str, Any], text: str
) -> None:
    assert text in refusal(hosting.runtime.invoke_endpoint_async, EndpointName="queued", **request_)[1]


def message(hosting: Hosting, url: str, inference: str) -> dict[str, Any]:
    """Take messages from a queue up to the notification of an inference, and return that; the others belong to other tests."""
    sqs = hosting.emulator.client("sqs")
    found: dict[str, Any] = {}

    def arrived() -> bool:
        for entry in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=entry["ReceiptHandle"])
            found.clear()
            found.update(json.loads(json.loads(entry["Body"])["Message"]))
        return found.get("inferenceId") == inference

    until(f"no notification of {inference}", arrived)
    return found


def test_an_endpoint_is_asynchronous_or_not(hosting: Hosting, queue: str) -> None:
    assert "InvokeEndpointAsync" in refusal(hosting.runtime.invoke_endpoint, EndpointName="queued", Body=b"{}")[1]


def test_a_serverless_endpoint_has_its_limits(hosting: Hosting, tmp_path: Path) -> None:
    found = hosting.endpoint("serverless", {"ModelName": "first", "ServerlessConfig": SERVERLESS})
    assert found["ProductionVariants"][0]["CurrentServerlessConfig"] == SERVERLESS
    assert hosting.ask("serverless")["name"] == "first"
    code, text = refusal(hosting.runtime.invoke_endpoint, EndpointName="serverless", Body=b"x" * (4 * 1024 * 1024 + 1))
    assert (code, text) == ("413", "HTTP content length exceeded 4194304 bytes.")
    slow = threading.Thread(target=hosting.ask, args=("serverless", {"do": "wait", "until": str(tmp_path / "free")}))
    slow.start()
    hosting.wait_for_line("serverless", "invoked wait")
    code, _ = refusal(hosting.impatient().invoke_endpoint, EndpointName="serverless", Body=b"{}")
    assert code == "ThrottlingException"
    (tmp_path / "free").touch()
    slow.join()
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="serverless",
        DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 5}},
        ],
    )
    scaled = hosting.settled("serverless")["ProductionVariants"][0]
    assert scaled["CurrentServerlessConfig"] == {**SERVERLESS, "MaxConcurrency": 5}


@pytest.fixture(scope="module")
def several(hosting: Hosting) -> dict[str, Any]:
    """A multi-model endpoint whose container has room for two models."""
    for name in ("a", "b", "c", "bad"):
        hosting.s3.put_object(Bucket="models", Key=f"fleet/{name}.tar.gz", Body=archive({"name": name.encode()}))
    hosting.model("several", "s3://models/fleet/", Mode="MultiModel", Environment={"ROOM": "2"})
    return hosting.endpoint("several", {"ModelName": "several"})


def test_a_multi_model_endpoint_loads_what_is_asked_for_and_unloads_the_oldest(
    hosting: Hosting, several: dict[str, Any]
) -> None:
    assert several["EndpointStatus"] == "InService"
    shown = hosting.ask("several", TargetModel="a.tar.gz")
    assert shown["name"] == "a" and shown["variables"]["SAGEMAKER_MULTI_MODEL"] == "true"
    assert shown["headers"]["X-Amzn-SageMaker-Target-Model"] == "a.tar.gz"
    assert "a.tar.gz" not in shown["path"]  # the name in the path is opaque
    hosting.ask("several", TargetModel="b.tar.gz")
    hosting.ask("several", TargetModel="a.tar.gz")
    assert hosting.ask("several", TargetModel="c.tar.gz")["models"] == ["a", "c"]


def test_a_multi_model_endpoint_refuses_what_it_cannot_load(hosting: Hosting, several: dict[str, Any]) -> None:
    code, text = refusal(hosting.runtime.invoke_endpoint, EndpointName="several", Body=b"{}")
    assert code == "ValidationError" and "needs TargetModel" in text
    code, text = refusal(
        hosting.runtime.invoke_endpoint, EndpointName="several", Body=b"{}", TargetModel="nowhere.tar.gz"
    )
    assert (
        code == "ValidationError" and "Failed to download model data(bucket: models, key: fleet/nowhere.tar.gz)" in text
    )
    code, text = refusal(hosting.runtime.invoke_endpoint, EndpointName="several", Body=b"{}", TargetModel="bad.tar.gz")
    assert code == "ModelError" and "client error (400)" in text


def test_models_that_are_not_cached_are_unloaded_at_once(hosting: Hosting, several: dict[str, Any]) -> None:
    hosting.model(
        "uncached",
        "https://s3.amazonaws.com/models/fleet/",
        Mode="MultiModel",
        MultiModelConfig={"ModelCacheSetting": "Disabled"},
    )
    hosting.endpoint("uncached", {"ModelName": "uncached"})
    hosting.ask("uncached", TargetModel="a.tar.gz")
    assert hosting.ask("uncached", TargetModel="b.tar.gz")["models"] == ["b"]


def test_what_is_captured_is_json_lines_below_the_endpoint_and_variant(hosting: Hosting) -> None:
    capture = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://answers/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }
    found = hosting.endpoint("captured", {"ModelName": "first"}, DataCaptureConfig=capture)
    assert found["DataCaptureConfig"]["CaptureStatus"] == "Started"
    form = "captured/captured/AllTraffic/%Y/%m/%d/"
    days = {time.strftime(form, time.gmtime())}
    hosting.ask("captured", ContentType="application/x-image", InferenceId="mine")
    prefix = "captured/captured/"

    def objects() -> list[dict[str, Any]]:
        return hosting.s3.list_objects_v2(Bucket="answers", Prefix=prefix).get("Contents", [])

    until("nothing is captured", lambda: bool(objects()))
    listed = objects()
    days.add(time.strftime(form, time.gmtime()))  # around midnight these are two
    assert listed[0]["Key"].startswith(tuple(days)) and listed[0]["Key"].endswith(".jsonl")
    (line,) = hosting.s3.get_object(Bucket="answers", Key=listed[0]["Key"])["Body"].read().splitlines()
    record = json.loads(line)
    given, answered = record["captureData"]["endpointInput"], record["captureData"]["endpointOutput"]
    assert (given["observedContentType"], given["mode"], given["encoding"]) == (
        "application/x-image",
        "INPUT",
        "BASE64",
    )
    assert base64.b64decode(given["data"]) == b'{"do": "show"}'
    assert answered["encoding"] == "JSON" and json.loads(answered["data"])["name"] == "first"
    assert record["eventMetadata"]["inferenceId"] == "mine" and record["eventVersion"] == "0"


@pytest.mark.parametrize(
    "variants, more, text",
    [
        ([{"ModelName": "nobody"}], {}, "Could not find model"),
        ([{"ModelName": "first"}, {"ModelName": "first"}], {}, "used more than once"),
        ([{"ModelName": "first", "ServerlessConfig": {**SERVERLESS, "MemorySizeInMB": 1500}}], {}, "multiple of 1024"),
        (
            [{"ModelName": "first", "ServerlessConfig": {**SERVERLESS, "ProvisionedConcurrency": 2}}],
            {},
            "at most MaxConcurrency",
        ),
        (
            [{"ModelName": "first", "ServerlessConfig": SERVERLESS}],
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://answers/x"}}},
            "serverless",
        ),
        ([{"ModelName": "first", "InstanceType": None}], {}, "needs InstanceType"),
        ([{"ModelName": "first", "RoutingConfig": {"RoutingStrategy": "KV_AWARE"}}], {}, "KV_AWARE is not emulated"),
        ([{"ModelName": "first", "InitialVariantWeight": 0}], {}, "weight 0"),
    ],
)
def test_a_wrong_configuration_is_refused(
    hosting: Hosting, variants: list[dict[str, Any]], more: dict[str, Any], text: str
) -> None:
    usual = {"VariantName": "AllTraffic", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    wanted = [{**({} if "ServerlessConfig" in variant else usual), **usual_name(variant)} for variant in variants]
    wanted = [{name: value for name, value in variant.items() if value is not None} for variant in wanted]
    _, message = refusal(
        hosting.sagemaker.create_endpoint_config, EndpointConfigName="wrong", ProductionVariants=wanted, **more
    )
    assert text in message


def usual_name(variant: dict[str, Any]) -> dict[str, Any]:
    return {"VariantName": "AllTraffic", **variant}


@pytest.mark.parametrize(
    "container, text",
    [
        ({"Image": "somebody/else:1"}, "somebody/else:1"),
        (
            {"ModelDataUrl": "s3://models/nowhere/model.tar.gz"},
            "Could not find model data at s3://models/nowhere/model.tar.gz.",
        ),
        ({"ModelDataUrl": "s3://models/first/model.zip"}, "(.tar.gz suffix)"),
        ({"Environment": {f"K{number}": "x" * 1000 for number in range(40)}}, "at most 32768"),
        ({"Image": None, "ModelPackageName": "nobody"}, "Could not find model package nobody"),
        ({"Mode": "MultiModel"}, "needs ModelDataUrl"),
    ],
)
def test_a_wrong_model_is_refused(hosting: Hosting, container: dict[str, Any], text: str) -> None:
    whole = {"Image": "byoc-classifier-serve:cpu", **container}
    given = {name: value for name, value in whole.items() if value is not None}
    assert text in refusal(hosting.sagemaker.create_model, ModelName="wrong", PrimaryContainer=given)[1]


def test_a_model_can_be_of_an_approved_model_package(hosting: Hosting) -> None:
    sagemaker = hosting.sagemaker
    sagemaker.create_model_package_group(ModelPackageGroupName="group")
    container = {
        "Image": "byoc-classifier-serve:cpu",
        "ModelDataUrl": hosting.data("registered"),
        "Environment": {"FROM": "package", "BOTH": "package"},
    }
    package = sagemaker.create_model_package(
        ModelPackageGroupName="group",
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["application/x-image"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    request = {
        "ModelName": "registered",
        "PrimaryContainer": {"ModelPackageName": package, "Environment": {"BOTH": "model"}},
    }
    assert "approve it" in refusal(sagemaker.create_model, **request)[1]
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    sagemaker.create_model(**request)
    assert sagemaker.describe_model(ModelName="registered")["PrimaryContainer"]["ModelPackageName"] == package
    hosting.endpoint("registered", {"ModelName": "registered"})
    shown = hosting.ask("registered")
    assert shown["name"] == "registered"
    assert (shown["variables"]["FROM"], shown["variables"]["BOTH"]) == ("package", "model")
