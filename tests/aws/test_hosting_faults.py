"""Failures of endpoints: each ends in one sentence with a remedy, and nothing is left behind unnoticed."""

import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from launch.aws import settings
from launch.aws.errors import AwsError, Detached
from launch.aws.hosting import deploy, endpoint, update
from launch.aws.hosting.design import design
from launch.aws.hosting.wanted import Wanted
from launch.aws.session import Session
from tests.aws.driver import wait_for
from tests.aws.hosted import BUCKET, Hosted, emulator, hosted, left, photo  # noqa: F401

BYOC = Path(sys.executable).parent / "byoc"


def test_an_endpoint_that_does_not_start_ends_with_its_reason_and_last_lines(hosted: Hosted) -> None:
    hosted.byoc("deploy", hosted.model("first"), "--endpoint", "dead", "--env", "START=fail", "--yes", status=1)
    assert "did not pass the ping health check" in hosted.errors
    assert "this program does not start: no weights" in hosted.errors
    assert "byoc delete dead" in hosted.errors
    hosted.byoc("deploy", hosted.model("first"), "--endpoint", "dead", "--yes", status=1)
    assert "is Failed" in hosted.errors and "byoc delete dead" in hosted.errors
    hosted.byoc("delete", "dead", "--yes")
    assert left(hosted, "dead") == []


def test_an_endpoint_that_never_gets_healthy_is_given_up(hosted: Hosted) -> None:
    model = hosted.model("first")
    hosted.byoc("deploy", model, "--endpoint", "stuck", "--env", "PING=never", "--yes", "--detach")
    logs = hosted.session.client("logs")
    wait_for(lambda: "serving" in lines(logs, "/aws/sagemaker/Endpoints/stuck"))
    with pytest.raises(AwsError) as caught:
        update.until_answering(hosted.session, "stuck", 1.0)
    text = str(caught.value)
    assert "is still Creating after 1 s" in text and "serving" in text
    assert "keeps running" in text and "byoc delete stuck" in text


def lines(logs: Any, group: str) -> list[str]:
    """Return the lines of a log group; an empty list if the group does not exist yet."""
    try:
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def test_an_update_that_does_not_start_leaves_the_endpoint_as_it_was(hosted: Hosted, photo: Path) -> None:
    first = hosted.deploy("steady", "first")
    hosted.byoc("deploy", hosted.model("second"), "--endpoint", "steady", "--env", "START=fail", "--yes", status=1)
    assert "was rolled back" in hosted.errors and "ping health check" in hosted.errors
    assert hosted.describe("steady")["EndpointConfigName"] == first["config"]
    assert hosted.label("steady", photo) == "first"


def test_an_image_that_is_missing_is_named(hosted: Hosted) -> None:
    hosted.order("image-missing", "imageless")
    hosted.byoc("deploy", hosted.model("first"), "--endpoint", "imageless", "--yes", status=1)
    assert "byoc-classifier-serve:cpu" in hosted.errors and "does not exist" in hosted.errors


def test_what_was_made_is_deleted_where_aws_refuses_the_endpoint(hosted: Hosted) -> None:
    hosted.order("quota", "CreateEndpoint")
    hosted.byoc("deploy", hosted.model("first"), "--endpoint", "refused", "--yes", status=1)
    assert "quota" in hosted.errors.lower() or "limit" in hosted.errors.lower()
    assert left(hosted, "refused") == []


def test_a_refused_update_brings_the_scaling_back_and_leaves_nothing(hosted: Hosted) -> None:
    first = hosted.deploy("kept", "first", "--autoscale", "1:2")
    before = left(hosted, "kept")
    hosted.order("expired-token", "UpdateEndpoint")
    hosted.byoc("deploy", hosted.model("second"), "--endpoint", "kept", "--instance", "ml.c5.large", "--yes", status=3)
    assert left(hosted, "kept") == before
    assert hosted.describe("kept")["EndpointConfigName"] == first["config"]


def test_throttling_while_it_starts_is_waited_out(hosted: Hosted) -> None:
    hosted.order("throttle", "DescribeEndpoint", times=3)
    assert hosted.deploy("throttled", "first")["trial"]["label"] == "first"


def test_credentials_that_expire_while_it_starts_have_a_status_of_their_own(hosted: Hosted) -> None:
    model = hosted.model("first")
    hosted.order("expired-token", "AddTags")
    hosted.deploy("expiring", "first")
    hosted.byoc("deploy", model, "--endpoint", "expiring", "--yes", status=3)
    assert "expired" in hosted.errors


def test_ctrl_c_while_it_starts_says_that_it_goes_on(hosted: Hosted) -> None:
    command = [str(BYOC), "deploy", hosted.model("first"), "--endpoint", "detached", "--env", "PING=never"]
    process = subprocess.Popen(
        [*command, "--autoscale", "1:2", "--yes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "serving" in line:
            break
    process.send_signal(signal.SIGINT)
    told = process.stdout.read()
    assert process.wait() == 130, (lines, told)
    process.stdout.close()
    assert "endpoint detached keeps running in us-east-1 and costs money" in told
    assert "byoc logs detached --follow" in told and "byoc delete detached" in told
    assert "byoc deploy --endpoint detached --autoscale 1:2" in told
    assert hosted.describe("detached")["EndpointStatus"] == "Creating"


def test_ctrl_c_before_there_is_an_endpoint_leaves_nothing(hosted: Hosted) -> None:
    shown = hosted.json("deploy", hosted.model("first"), "--endpoint", "early", "--dry-run")
    sent = {call["operation"]: call["request"] for call in shown["requests"]}

    def create() -> None:
        hosted.session.client("sagemaker").create_model(**sent["CreateModel"])
        hosted.session.client("sagemaker").create_endpoint_config(**sent["CreateEndpointConfig"])
        raise KeyboardInterrupt(signal.SIGINT)

    config, model = sent["CreateEndpointConfig"]["EndpointConfigName"], sent["CreateModel"]["ModelName"]
    with pytest.raises(KeyboardInterrupt) as caught:
        update.undone(hosted.session, "early", config, model, create)
    assert not isinstance(caught.value, Detached) and left(hosted, "early") == []


def test_of_two_deployments_at_once_the_second_is_refused_and_leaves_nothing(hosted: Hosted) -> None:
    wanted = Wanted(endpoint="twice", model=hosted.model("first"))
    session = Session(settings.load(Namespace()))
    first, second = design(session, wanted), design(session, wanted)
    done = deploy.deploy(session, first, choice="boto3")
    with pytest.raises(AwsError, match="twice"):
        deploy.deploy(session, second, choice="boto3")
    assert sorted(left(hosted, "twice")) == sorted(["twice", done.config, *done.models])


def test_delete_waits_until_an_endpoint_has_settled(hosted: Hosted) -> None:
    hosted.byoc("deploy", hosted.model("first"), "--endpoint", "settling", "--yes", "--detach")
    hosted.byoc("delete", "settling", "--yes")
    assert endpoint.find(hosted.session, "settling") is None and left(hosted, "settling") == []


def test_predict_says_what_is_wrong(hosted: Hosted, photo: Path) -> None:
    hosted.deploy("asked", "first")
    no_photo = photo.with_name("no.jpg")
    no_photo.write_bytes(b"text")
    assert hosted.byoc("predict", no_photo, photo, "--endpoint", "asked", status=1) == f"{photo}: first 0.7500\n"
    assert hosted.errors == f"{no_photo}: 422 the body is not a usable photo: not an image\n"
    hosted.byoc("predict", photo, photo, "--endpoint", "absent", status=1)
    assert hosted.errors.count("there is no endpoint absent in us-east-1") == 1
    hosted.byoc("predict", photo, "--endpoint", "asked", "--target-model", "a.tar.gz", status=1)
    assert "TargetModel" in hosted.errors
    hosted.byoc("predict", photo.with_name("absent.jpg"), "--endpoint", "asked", status=1)
    assert "absent.jpg" in hosted.errors
    hosted.byoc("predict", photo, "--on", "sagemaker", status=1)
    assert "--on sagemaker needs --endpoint" in hosted.errors
    large = photo.with_name("large.jpg")
    with large.open("wb") as file:
        file.truncate(26 << 20)
    hosted.byoc("predict", large, "--endpoint", "asked", status=1)
    assert "bytes are too many" in hosted.errors and "--async" in hosted.errors


def test_an_asynchronous_answer_that_does_not_come_has_a_deadline(hosted: Hosted, photo: Path) -> None:
    hosted.byoc(
        "deploy", hosted.model("first"), "--endpoint", "slow", "--async", "--env", "SLEEP=20", "--detach", "--yes"
    )
    while hosted.describe("slow")["EndpointStatus"] != "InService":
        time.sleep(0.1)
    hosted.byoc("predict", photo, "--endpoint", "slow", "--timeout", "1", status=1)
    assert "after 1 s there is no answer at s3://" in hosted.errors and "byoc logs slow" in hosted.errors


def test_predict_imports_neither_the_sdk_nor_what_decodes_photos(hosted: Hosted) -> None:
    code = "import sys; import launch.aws.hosting.predict; print(sorted({'sagemaker', 'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", ["deploy", "endpoints", "rollback", "delete", "transform", "register", "approve"])
def test_help_shows_an_example(hosted: Hosted, verb: str) -> None:
    with pytest.raises(SystemExit) as caught:
        hosted.byoc(verb, "--help")
    assert caught.value.code == 0
    assert f"byoc {verb} " in hosted.capsys.readouterr().out.partition("examples:")[2]
