"""Endpoints, models and configurations: they are made, fail, are listed and deleted, and return after a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.commands import PROGRAMS
from tests.sagemaker.conftest import ROLE, emulate, refusal
from tests.sagemaker.hosting import SERVE_IMAGE, Hosting, alive, archive, hosted


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Hosting]:
    yield from hosted(tmp_path_factory.mktemp("hosting"))


@pytest.fixture(scope="module")
def served(hosting: Hosting) -> dict[str, Any]:
    """One endpoint that the tests only invoke."""
    found = hosting.endpoint("served", {"ModelName": "first"})
    assert found["EndpointStatus"] == "InService", found
    return found


@pytest.mark.parametrize("variables", [{"START": "fail"}, {"PING": "never"}], ids=["ends", "no-ping"])
def test_an_endpoint_whose_container_does_not_answer_ping_fails(
    hosting: Hosting, served: dict[str, Any], variables: dict[str, str]
) -> None:
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


def test_a_model_file_that_is_not_an_archive_fails_the_endpoint(hosting: Hosting) -> None:
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
