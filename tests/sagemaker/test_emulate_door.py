"""Only clients on this machine may use the emulator, and no web page."""

import http.client
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.conftest import Emulator

LIST = {"X-Amz-Target": "SageMaker.ListTrainingJobs", "Content-Type": "application/x-amz-json-1.1"}


def ask(
    emulator: Emulator, method: str = "POST", path: str = "/", body: bytes = b"{}", **headers: str
) -> tuple[int, Any]:
    """Return the status and body of one request with these headers and no others."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection(emulator.url.removeprefix("http://"))) as connection:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in (LIST | named | {"Content-Length": str(len(body))}).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "amazonaws.com.evil.example", "evilamazonaws.com"]
)
def test_a_foreign_host_name_that_resolves_to_this_machine_is_refused(emulator: Emulator, host: str) -> None:
    assert ask(emulator, Host=host)[0] == 403
    assert ask(emulator, "GET", "/some-bucket/key", Host=host)[0] == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_is_refused(emulator: Emulator, origin: str) -> None:
    assert ask(emulator, Origin=origin)[0] == 403
    assert ask(emulator, path="/_local/faults", Origin=origin)[0] == 403


def test_a_page_that_sends_no_origin_is_recognised_by_its_other_headers(emulator: Emulator) -> None:
    assert ask(emulator, "GET", "/_local/faults", Sec_Fetch_Site="cross-site")[0] == 403


def test_a_client_of_this_machine_is_answered(emulator: Emulator) -> None:
    status, body = ask(emulator)
    assert (status, json.loads(body)) == (200, {"TrainingJobSummaries": []})
    assert ask(emulator, Origin=emulator.url)[0] == 200


def test_it_listens_on_the_loopback_interface_alone(emulator: Emulator) -> None:
    port = f"{int(emulator.url.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [fields[1] for fields in lines if fields[3] == "0A" and fields[1].endswith(f":{port}")]
    assert listening == [f"0100007F:{port}"]


def test_the_routes_by_which_moto_is_reset_are_closed(emulator: Emulator) -> None:
    assert ask(emulator, path="/moto-api/reset")[0] == 403


def test_every_action_is_permitted_and_roles_can_be_made(emulator: Emulator) -> None:
    iam = emulator.client("iam")
    role = iam.create_role(RoleName="mine", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    found = iam.simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["sagemaker:CreateTrainingJob", "s3:GetObject"]
    )
    decisions = {entry["EvalActionName"]: entry["EvalDecision"] for entry in found["EvaluationResults"]}
    assert decisions == {"sagemaker:CreateTrainingJob": "allowed", "s3:GetObject": "allowed"}


@pytest.mark.parametrize("body", [b"not JSON", b"[]", b"\xff"])
def test_a_body_that_is_not_a_json_object_is_an_error_of_the_client(emulator: Emulator, body: bytes) -> None:
    status, answer = ask(emulator, body=body)
    assert status == 400 and json.loads(answer)["__type"] == "SerializationException"
