"""Invocations of an endpoint whose program returns its input: what reaches the container, errors, restarts, metrics."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import order, refusal
from tests.sagemaker.hosting import SERVE_IMAGE, Hosting, hosted, shown_until


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Hosting]:
    yield from hosted(tmp_path_factory.mktemp("hosting"))


@pytest.fixture(scope="module")
def served(hosting: Hosting) -> dict[str, Any]:
    """One endpoint that the tests only invoke."""
    found = hosting.endpoint("served", {"ModelName": "first"})
    assert found["EndpointStatus"] == "InService", found
    return found


def test_an_endpoint_describes_its_variants(served: dict[str, Any]) -> None:
    assert served["EndpointArn"] == "arn:aws:sagemaker:us-east-1:123456789012:endpoint/served"
    assert served["EndpointConfigName"] == "served"
    (variant,) = served["ProductionVariants"]
    assert variant["VariantName"] == "AllTraffic"
    assert variant["CurrentWeight"] == variant["DesiredWeight"] == 1.0
    assert variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"] == 1
    assert variant["DeployedImages"][0]["SpecifiedImage"] == SERVE_IMAGE
    assert "PendingDeploymentSummary" not in served and "FailureReason" not in served
    assert not [member for member in served if member.startswith("_")]


def test_an_invocation_reaches_the_container_with_the_headers_of_the_api_alone(
    hosting: Hosting, served: dict[str, Any]
) -> None:
    answer = hosting.runtime.invoke_endpoint(
        EndpointName="served",
        Body=b'{"do": "show"}',
        ContentType="application/json",
        Accept="application/json",
        CustomAttributes="trace=7",
        InferenceId="mine",
    )
    shown = json.loads(answer["Body"].read())
    assert shown["name"] == "first" and shown["path"] == "/invocations"
    assert shown["headers"]["Content-Type"] == shown["headers"]["Accept"] == "application/json"
    assert shown["headers"]["X-Amzn-SageMaker-Inference-Id"] == "mine"
    assert not {"Authorization", "X-Amz-Date", "User-Agent"} & shown["headers"].keys()
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=7"
    assert answer["ContentType"] == "application/json"


def test_nothing_of_the_emulators_environment_reaches_the_container(hosting: Hosting, served: dict[str, Any]) -> None:
    variables = hosting.ask("served")["variables"]
    assert [name for name in variables if name.startswith("AWS_")] == ["AWS_EC2_METADATA_DISABLED"]
    assert variables["AWS_EC2_METADATA_DISABLED"] == "true"


def test_what_the_container_writes_is_a_log_stream(hosting: Hosting, served: dict[str, Any]) -> None:
    hosting.ask("served")
    for line in ("serving", "invoked show"):
        hosting.wait_for_line("served", line)
    streams = hosting.emulator.client("logs").describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/served")
    assert streams["logStreams"][0]["logStreamName"].startswith("AllTraffic/i-")


def test_an_error_of_the_container_is_a_model_error(hosting: Hosting, served: dict[str, Any]) -> None:
    with pytest.raises(hosting.runtime.exceptions.ModelError) as caught:
        hosting.ask("served", {"do": "status", "status": 422, "text": "not an image"})
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (answer["OriginalStatusCode"], answer["OriginalMessage"]) == (422, "not an image")
    assert answer["LogStreamArn"].endswith("log-group:/aws/sagemaker/Endpoints/served")
    assert answer["Error"]["Message"].startswith(
        'Received client error (422) from primary with message "not an image". See '
    )


@pytest.mark.parametrize(
    "request_, code, text",
    [
        ({"EndpointName": "nobody"}, "ValidationError", "Endpoint nobody of account 123456789012 not found."),
        ({"TargetVariant": "Other"}, "ValidationError", "Variant Other"),
        ({"TargetModel": "a.tar.gz"}, "ValidationError", "takes no TargetModel"),
        ({"CustomAttributes": "x" * 1025}, "ValidationError", "length less than or equal to 1024"),
        ({"EnableExplanations": "`true`"}, "NotEmulated", "Enable-Explanations"),
        ({"Body": b"x" * (25 * 1024 * 1024 + 1)}, "413", "HTTP content length exceeded 26214400 bytes."),
    ],
)
def test_a_wrong_invocation_is_refused(
    hosting: Hosting, served: dict[str, Any], request_: dict[str, Any], code: str, text: str
) -> None:
    found, message = refusal(hosting.runtime.invoke_endpoint, **{"EndpointName": "served", "Body": b"{}", **request_})
    assert found == code and text in message


def test_25_megabytes_are_taken(hosting: Hosting, served: dict[str, Any]) -> None:
    answer = hosting.runtime.invoke_endpoint(EndpointName="served", Body=b"x" * (25 * 1024 * 1024))
    assert json.loads(answer["Body"].read())["bytes"] == 25 * 1024 * 1024


def test_fifty_invocations_at_once_are_answered(hosting: Hosting, served: dict[str, Any]) -> None:
    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(lambda _: hosting.ask("served")["name"], range(150))) == {"first"}


def test_a_container_that_ends_is_started_again(hosting: Hosting) -> None:
    hosting.endpoint("restarted", {"ModelName": "first"})
    before = hosting.ask("restarted")["pid"]
    code, text = refusal(hosting.impatient().invoke_endpoint, EndpointName="restarted", Body=json.dumps({"do": "exit"}))
    assert code == "ModelError" and "as the model process exited" in text
    try:
        answer = hosting.impatient().invoke_endpoint(EndpointName="restarted", Body=json.dumps({"do": "show"}))
        assert json.loads(answer["Body"].read())["pid"] != before
    except ClientError as refused:  # the container has not been started again yet
        assert refused.response["Error"]["Code"] in ("ServiceUnavailable", "ModelError")
    assert shown_until(hosting, "restarted", lambda shown: shown["pid"] != before)
    before = hosting.ask("restarted")["pid"]
    order(hosting.emulator, kind="kill-container", target="restarted")
    assert shown_until(hosting, "restarted", lambda shown: shown["pid"] != before)
    assert hosting.settled("restarted")["EndpointStatus"] == "InService"


def test_a_container_that_takes_seconds_to_end_is_reported_as_exited(hosting: Hosting) -> None:
    hosting.endpoint("dying", {"ModelName": "first"})
    code, text = refusal(hosting.impatient().invoke_endpoint, EndpointName="dying", Body=json.dumps({"do": "die"}))
    assert code == "ModelError" and "as the model process exited" in text


def test_a_container_that_closes_the_connection_and_goes_on_is_not_reported_as_exited(
    hosting: Hosting, served: dict[str, Any]
) -> None:
    before = hosting.ask("served")["pid"]
    body = json.dumps({"do": "close"})
    code, text = refusal(hosting.impatient().invoke_endpoint, EndpointName="served", Body=body)
    assert code == "ModelError" and "could not get a response from the endpoint" in text
    assert hosting.ask("served")["pid"] == before


@pytest.mark.parametrize(
    "kind, code", [("throttle", "ThrottlingException"), ("expired-token", "ExpiredTokenException")]
)
def test_an_invocation_is_refused_as_a_fault_says(
    hosting: Hosting, served: dict[str, Any], kind: str, code: str
) -> None:
    order(hosting.emulator, kind=kind, target="InvokeEndpoint")
    assert refusal(hosting.impatient().invoke_endpoint, EndpointName="served", Body=b"{}")[0] == code
    assert hosting.ask("served")["name"] == "first"


@pytest.mark.long
def test_a_container_that_takes_more_than_60_seconds_is_a_model_error(hosting: Hosting, served: dict[str, Any]) -> None:
    patient = hosting.emulator.impatient("sagemaker-runtime", read_timeout=90)
    body = json.dumps({"do": "sleep", "seconds": 65})
    code, text = refusal(patient.invoke_endpoint, EndpointName="served", Body=body)
    assert (
        code == "ModelError" and "Your invocation timed out while waiting for a response from container primary" in text
    )


def test_metrics_of_invocations_are_in_cloudwatch(hosting: Hosting) -> None:
    hosting.endpoint("measured", {"ModelName": "first"})
    hosting.ask("measured")
    with pytest.raises(ClientError):
        hosting.ask("measured", {"do": "status", "status": 500, "text": "an error"})
    found = {name: total(hosting, name) for name in ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")}
    # boto3 does not repeat a ModelError with status 424.
    assert found == {"Invocations": 2, "Invocation4XXErrors": 0, "Invocation5XXErrors": 1}
    assert total(hosting, "ModelLatency") > 100  # microseconds


def total(hosting: Hosting, metric: str) -> float:
    now = time.time()
    found = hosting.emulator.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": "measured"}, {"Name": "VariantName", "Value": "AllTraffic"}],
        StartTime=now - 600,
        EndTime=now + 600,
        Period=3600,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in found["Datapoints"]))
