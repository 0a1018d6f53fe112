"""Endpoints with a program that shows what it is given: starts, updates, weights, restarts, refusals."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import ROLE, emulate, order
from tests.sagemaker.hosting import SERVE_IMAGE, Hosting, archive

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Hosting]:
    running = emulate(tmp_path_factory.mktemp("hosting") / "data", "--hold", "20", "--programs", str(PROGRAMS))
    found = Hosting(running)
    found.s3.create_bucket(Bucket="models")
    found.model("first")
    found.model("second")
    yield found
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "what served has left files"


@pytest.fixture(scope="module")
def served(hosting: Hosting) -> dict[str, Any]:
    """One endpoint that the tests only invoke."""
    found = hosting.endpoint("served", {"ModelName": "first"})
    assert found["EndpointStatus"] == "InService", found
    return found


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    """Return the code and text that a call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
    assert {"serving", "invoked show"} <= set(hosting.lines("served"))
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
    assert refusal(hosting.impatient().invoke_endpoint, EndpointName="restarted", Body=b"{}")[0] in (
        "ServiceUnavailable",
        "ModelError",
    )
    assert asked_until(hosting, "restarted", lambda shown: shown["pid"] != before)
    before = hosting.ask("restarted")["pid"]
    order(hosting.emulator, kind="kill-container", target="restarted")
    assert asked_until(hosting, "restarted", lambda shown: shown["pid"] != before)
    assert hosting.settled("restarted")["EndpointStatus"] == "InService"


def test_a_container_that_closes_the_connection_and_goes_on_is_not_told_to_have_exited(
    hosting: Hosting, served: dict[str, Any]
) -> None:
    before = hosting.ask("served")["pid"]
    body = json.dumps({"do": "close"})
    code, text = refusal(hosting.impatient().invoke_endpoint, EndpointName="served", Body=body)
    assert code == "ModelError" and "could not get a response from the endpoint" in text
    assert hosting.ask("served")["pid"] == before


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("no-capacity", "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error"),
        ("image-missing", "The image 'byoc-classifier-serve:cpu' does not exist."),
    ],
)
def test_a_fault_fails_a_new_endpoint_and_rolls_an_update_back(
    hosting: Hosting, served: dict[str, Any], kind: str, reason: str
) -> None:
    order(hosting.emulator, kind=kind, target=kind)
    found = hosting.endpoint(kind, {"ModelName": "first"})
    assert found["EndpointStatus"] == "Failed" and found["FailureReason"].startswith(reason)
    hosting.sagemaker.delete_endpoint(EndpointName=kind)
    order(hosting.emulator, kind=kind, target="served")
    hosting.sagemaker.update_endpoint(EndpointName="served", EndpointConfigName=kind)
    found = hosting.settled("served")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "served")
    assert found["FailureReason"].startswith(reason)
    assert hosting.ask("served")["name"] == "first"


def test_an_endpoint_that_finds_no_instances_to_grow_keeps_those_it_has(hosting: Hosting) -> None:
    hosting.endpoint("small", {"ModelName": "first"})
    order(hosting.emulator, kind="no-capacity", target="small")
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    hosting.sagemaker.update_endpoint_weights_and_capacities(EndpointName="small", DesiredWeightsAndCapacities=wanted)
    found = hosting.settled("small")
    assert found["EndpointStatus"] == "InService" and "InsufficientInstanceCapacity" in found["FailureReason"]
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    hosting.sagemaker.delete_endpoint(EndpointName="small")


@pytest.mark.parametrize(
    "kind, code", [("throttle", "ThrottlingException"), ("expired-token", "ExpiredTokenException")]
)
def test_an_invocation_is_refused_as_a_fault_says(
    hosting: Hosting, served: dict[str, Any], kind: str, code: str
) -> None:
    order(hosting.emulator, kind=kind, target="InvokeEndpoint")
    assert refusal(hosting.impatient().invoke_endpoint, EndpointName="served", Body=b"{}")[0] == code
    assert hosting.ask("served")["name"] == "first"


def asked_until(hosting: Hosting, name: str, wanted: Any) -> dict[str, Any]:
    """Invoke an endpoint until what it shows is wanted; failures meanwhile are expected."""
    while True:
        try:
            shown = hosting.ask(name)
        except ClientError:
            shown = None
        if shown and wanted(shown):
            return shown
        time.sleep(0.1)


@pytest.mark.parametrize("variables", [{"START": "fail"}, {"PING": "never"}], ids=["ends", "no-ping"])
def test_an_endpoint_whose_container_does_not_answer_ping_fails(hosting: Hosting, variables: dict[str, str]) -> None:
    name = f"failing-{next(iter(variables)).lower()}"
    hosting.model(name, Environment=variables)
    hosting.config(name, {"ModelName": name, "ContainerStartupHealthCheckTimeoutInSeconds": 60})
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    if "PING" in variables:
        code, text = refusal(hosting.runtime.invoke_endpoint, EndpointName=name, Body=b"{}")
        assert code == "ValidationError" and "not found" in text
        code, text = refusal(hosting.sagemaker.delete_endpoint, EndpointName=name)
        assert (code, text) == ("ValidationException", f'Cannot update in-progress endpoint "{arn("endpoint", name)}".')
        return
    found = hosting.settled(name)
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"] == (
        "The primary container for production variant AllTraffic did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    assert "this program does not start" in hosting.lines(name)
    code, text = refusal(hosting.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName="served")
    assert code == "ValidationException" and "Failed" in text
    hosting.sagemaker.delete_endpoint(EndpointName=name)


def arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}"


def test_an_archive_that_is_none_fails_the_endpoint(hosting: Hosting) -> None:
    hosting.model("broken", hosting.data("broken", b"no archive"))
    found = hosting.endpoint("broken", {"ModelName": "broken"})
    assert found["EndpointStatus"] == "Failed" and "cannot be unpacked" in found["FailureReason"]


def test_an_archive_cannot_write_outside_its_folder(hosting: Hosting) -> None:
    hosting.model("evil", hosting.data("evil", archive({"../../outside": b"x"})))
    found = hosting.endpoint("evil", {"ModelName": "evil"})
    assert found["EndpointStatus"] == "Failed" and "outside" in found["FailureReason"]


def test_a_model_can_be_files_below_a_prefix(hosting: Hosting) -> None:
    hosting.s3.put_object(Bucket="models", Key="plain/deep/x", Body=b"x")
    hosting.s3.put_object(Bucket="models", Key="plain/name", Body=b"plain")
    source = {"S3DataSource": {"S3Uri": "s3://models/plain/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    hosting.model("plain", ModelDataSource=source)
    assert hosting.endpoint("plain", {"ModelName": "plain"})["EndpointStatus"] == "InService"
    assert hosting.ask("plain")["name"] == "plain"


@pytest.mark.parametrize(
    "address",
    [
        "https://s3.amazonaws.com/models/first/model.tar.gz",
        "https://s3-eu-west-1.amazonaws.com/models/first/model.tar.gz",
        "https://s3.eu-west-1.amazonaws.com/models/first/model.tar.gz",
        "https://s3.dualstack.eu-west-1.amazonaws.com/models/first/model.tar.gz",
        "https://models.s3.amazonaws.com/first/model.tar.gz",
        "https://models.s3-eu-west-1.amazonaws.com/first/model.tar.gz",
        "https://models.s3.eu-west-1.amazonaws.com/first/model.tar.gz",
    ],
)
def test_a_models_data_may_have_each_https_address_of_s3(hosting: Hosting, address: str) -> None:
    container = {"Image": SERVE_IMAGE, "ModelDataUrl": address}
    hosting.sagemaker.create_model(ModelName="by-https", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    found = hosting.sagemaker.describe_model(ModelName="by-https")
    hosting.sagemaker.delete_model(ModelName="by-https")
    assert found["PrimaryContainer"]["ModelDataUrl"] == address


@pytest.mark.parametrize(
    "address, text",
    [
        ("https://models.example.com/first/model.tar.gz", "is not an address in S3"),
        ("https://s3.amazonaws.com.example.com/models/first/model.tar.gz", "is not an address in S3"),
        ("https://s3.amazonaws.com/models/nothing/model.tar.gz", "model data at s3://models/nothing/model.tar.gz"),
    ],
)
def test_another_https_address_is_refused(hosting: Hosting, address: str, text: str) -> None:
    container = {"Image": SERVE_IMAGE, "ModelDataUrl": address}
    request = {"ModelName": "elsewhere", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    code, message = refusal(hosting.sagemaker.create_model, **request)
    assert code == "ValidationException" and text in message


def test_an_update_leaves_no_gap_and_deletes_the_old_instances(hosting: Hosting) -> None:
    hosting.endpoint("updated", {"ModelName": "first"})
    old = hosting.ask("updated")["pid"]
    hosting.config("updated-2", {"ModelName": "second"})
    hosting.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
    names: list[str] = []
    while not names or names[-1] != "second":
        names.append(hosting.ask("updated")["name"])
    found = hosting.settled("updated")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "updated-2")
    assert not alive(old)
    assert hosting.ask("updated")["name"] == "second"


def test_an_update_that_fails_is_rolled_back(hosting: Hosting) -> None:
    hosting.model("stillborn", Environment={"START": "fail"})
    hosting.endpoint("rolled", {"ModelName": "first"})
    pid = hosting.ask("rolled")["pid"]
    hosting.config("rolled-2", {"ModelName": "stillborn"})
    hosting.sagemaker.update_endpoint(EndpointName="rolled", EndpointConfigName="rolled-2")
    found = hosting.settled("rolled")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "rolled")
    assert "did not pass the ping health check" in found["FailureReason"]
    assert hosting.ask("rolled")["pid"] == pid


def test_an_alarm_rolls_an_update_back(hosting: Hosting) -> None:
    cloudwatch = hosting.emulator.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="errors",
        MetricName="Invocation5XXErrors",
        Namespace="AWS/SageMaker",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    hosting.endpoint("guarded", {"ModelName": "first"})
    hosting.config("guarded-2", {"ModelName": "second"})
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 3600, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}}
    policy = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
    }
    hosting.sagemaker.update_endpoint(EndpointName="guarded", EndpointConfigName="guarded-2", DeploymentConfig=policy)
    assert asked_until(hosting, "guarded", lambda shown: shown["name"] == "second")
    assert asked_until(hosting, "guarded", lambda shown: shown["name"] == "first")
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a test")
    found = hosting.settled("guarded")
    assert found["EndpointConfigName"] == "guarded" and "errors was tripped" in found["FailureReason"]
    assert {hosting.ask("guarded")["name"] for _ in range(20)} == {"first"}


def test_variants_share_the_traffic_by_their_weights_and_can_be_named(hosting: Hosting) -> None:
    variants = [
        {"VariantName": "A", "ModelName": "first", "InitialVariantWeight": 3},
        {"VariantName": "B", "ModelName": "second", "InitialVariantWeight": 1},
    ]
    hosting.endpoint("shared", *variants)
    seen = Counter(hosting.ask("shared")["name"] for _ in range(100))
    assert 49 < seen["first"] < 100  # of a binomial distribution around 75, six deviations away
    assert hosting.ask("shared", TargetVariant="B")["name"] == "second"
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="shared",
        DesiredWeightsAndCapacities=[
            {"VariantName": "A", "DesiredWeight": 0},
            {"VariantName": "B", "DesiredWeight": 1, "DesiredInstanceCount": 2},
        ],
    )
    found = {variant["VariantName"]: variant for variant in hosting.settled("shared")["ProductionVariants"]}
    assert found["A"]["CurrentWeight"] == 0 and found["B"]["CurrentInstanceCount"] == 2
    shown = [hosting.ask("shared") for _ in range(40)]
    assert {entry["name"] for entry in shown} == {"second"}
    assert len({entry["pid"] for entry in shown}) == 2
    hosting.sagemaker.delete_endpoint(EndpointName="shared")


def test_an_update_can_retain_what_was_scaled(hosting: Hosting) -> None:
    hosting.endpoint("retained", {"ModelName": "first"})
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="retained", DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 7}]
    )
    hosting.settled("retained")
    hosting.config("retained-2", {"ModelName": "second"})
    hosting.sagemaker.update_endpoint(
        EndpointName="retained", EndpointConfigName="retained-2", RetainAllVariantProperties=True
    )
    assert hosting.settled("retained")["ProductionVariants"][0]["CurrentWeight"] == 7
    hosting.sagemaker.delete_endpoint(EndpointName="retained")


def test_a_deleted_endpoint_is_gone_with_its_container_and_its_name_is_free(hosting: Hosting) -> None:
    hosting.endpoint("short", {"ModelName": "first"})
    pid = hosting.ask("short")["pid"]
    hosting.sagemaker.delete_endpoint(EndpointName="short")
    waiter = hosting.sagemaker.get_waiter("endpoint_deleted")
    waiter.wait(EndpointName="short", WaiterConfig={"Delay": 1})
    assert not alive(pid)
    code, text = refusal(hosting.sagemaker.describe_endpoint, EndpointName="short")
    assert (code, text) == ("ValidationException", f'Could not find endpoint "{arn("endpoint", "short")}".')
    hosting.sagemaker.create_endpoint(EndpointName="short", EndpointConfigName="short")
    assert hosting.settled("short")["EndpointStatus"] == "InService"


def test_a_name_is_used_once_in_whatever_case(hosting: Hosting, served: dict[str, Any]) -> None:
    for call, request, kind in (
        (hosting.sagemaker.create_endpoint, {"EndpointName": "SERVED", "EndpointConfigName": "served"}, "endpoint"),
        (
            hosting.sagemaker.create_model,
            {"ModelName": "first", "PrimaryContainer": {"Image": SERVE_IMAGE}, "ExecutionRoleArn": ROLE},
            "model",
        ),
    ):
        code, text = refusal(call, **request)
        assert code == "ValidationException" and text.startswith(f"Cannot create already existing {kind} ")


def test_an_endpoint_outlives_its_configuration_and_model(hosting: Hosting) -> None:
    hosting.model("fleeting")
    hosting.endpoint("outliving", {"ModelName": "fleeting"})
    hosting.sagemaker.delete_endpoint_config(EndpointConfigName="outliving")
    hosting.sagemaker.delete_model(ModelName="fleeting")
    assert hosting.ask("outliving")["name"] == "fleeting"
    assert "Could not find model" in refusal(hosting.sagemaker.describe_model, ModelName="fleeting")[1]


def test_models_configurations_and_endpoints_are_listed(hosting: Hosting, served: dict[str, Any]) -> None:
    models = hosting.sagemaker.list_models(NameContains="first")["Models"]
    assert [model["ModelName"] for model in models] == ["first"]
    configs = hosting.sagemaker.list_endpoint_configs(NameContains="served")["EndpointConfigs"]
    assert [config["EndpointConfigName"] for config in configs] == ["served"]
    found = hosting.sagemaker.list_endpoints(StatusEquals="InService", NameContains="served")["Endpoints"]
    assert [endpoint["EndpointName"] for endpoint in found] == ["served"]


def test_metrics_of_invocations_are_in_cloudwatch(hosting: Hosting) -> None:
    hosting.endpoint("measured", {"ModelName": "first"})
    hosting.ask("measured")
    with pytest.raises(ClientError):
        hosting.ask("measured", {"do": "status", "status": 500, "text": "an error"})
    found = {name: total(hosting, name) for name in ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")}
    # boto3 tries a ModelError of status 424 once.
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


def test_a_restart_brings_endpoints_back(tmp_path: Path) -> None:
    running = emulate(tmp_path / "data", "--hold", "20", "--programs", str(PROGRAMS))
    hosting = Hosting(running)
    hosting.s3.create_bucket(Bucket="models")
    hosting.model("first")
    hosting.endpoint("kept", {"ModelName": "first"})
    pid = hosting.ask("kept")["pid"]
    running.process.kill()
    running.process.wait()
    again = emulate(tmp_path / "data", "--hold", "20", "--programs", str(PROGRAMS))
    try:
        hosting = Hosting(again)
        assert hosting.settled("kept")["EndpointStatus"] == "InService"
        assert hosting.ask("kept")["pid"] != pid and not alive(pid)
    finally:
        assert again.end() == 130
    assert not list((again.data / "work").iterdir())


def test_an_update_lets_the_old_instance_finish_its_invocations(hosting: Hosting) -> None:
    hosting.endpoint("drained", {"ModelName": "first"})
    hosting.config("drained-2", {"ModelName": "second"})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(hosting.ask, "drained", {"do": "sleep", "seconds": 5})
        while "invoked sleep" not in hosting.lines("drained"):
            time.sleep(0.05)
        hosting.sagemaker.update_endpoint(EndpointName="drained", EndpointConfigName="drained-2")
        assert hosting.settled("drained")["EndpointConfigName"] == "drained-2"
        assert slow.result()["name"] == "first"
