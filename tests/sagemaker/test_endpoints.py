"""Endpoints of the real serving program with a real model: it gives the same answers through SageMaker as directly."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import Emulator
from tests.sagemaker.hosting import Hosting, packed

# One worker, since this machine may have few cores.
SMALL = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


@pytest.fixture(scope="module")
def hosting(emulator: Emulator, model: Path) -> Hosting:
    found = Hosting(emulator)
    found.s3.create_bucket(Bucket="models")
    found.model("photos", found.data("photos", packed(model)), Environment=SMALL)
    return found


@pytest.fixture(scope="module")
def served(hosting: Hosting) -> dict[str, Any]:
    found = hosting.endpoint("photos", {"ModelName": "photos"})
    assert found["EndpointStatus"] == "InService", found
    return found


@pytest.fixture(scope="module")
def photo(samples: Path) -> bytes:
    return next((samples / "test").glob("*/*")).read_bytes()


def probabilities(answer: bytes) -> dict[str, float]:
    return {entry["label"]: entry["probability"] for entry in json.loads(answer)["predictions"]}


def test_a_photo_is_answered_as_the_program_answers_it_by_itself(
    hosting: Hosting, served: dict[str, Any], photo: bytes, url: str
) -> None:
    answer = hosting.runtime.invoke_endpoint(EndpointName="photos", Body=photo, ContentType="image/jpeg")
    assert answer["ContentType"].startswith("application/json")
    request = urllib.request.Request(f"{url}/invocations", photo, {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request) as direct:
        assert probabilities(answer["Body"].read()) == pytest.approx(probabilities(direct.read()), abs=1e-4)


def test_a_refusal_of_the_program_is_a_model_error_with_its_sentence(hosting: Hosting, served: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        hosting.runtime.invoke_endpoint(EndpointName="photos", Body=b"no photo", ContentType="image/jpeg")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == 422


def test_a_folder_that_is_not_a_model_fails_the_endpoint_and_the_log_says_why(hosting: Hosting) -> None:
    hosting.model("empty", Environment=SMALL)
    found = hosting.endpoint("empty", {"ModelName": "empty"})
    assert found["EndpointStatus"] == "Failed" and "ping health check" in found["FailureReason"]
    assert any("model.json" in line for line in hosting.lines("empty"))


@pytest.mark.slow
def test_a_multi_model_endpoint_answers_for_each_of_its_models(
    hosting: Hosting, served: dict[str, Any], photo: bytes, model: Path
) -> None:
    for name in ("one", "two"):
        hosting.s3.put_object(Bucket="models", Key=f"fleet/{name}.tar.gz", Body=packed(model))
    hosting.model("fleet", "s3://models/fleet/", Mode="MultiModel", Environment=SMALL)
    assert hosting.endpoint("fleet", {"ModelName": "fleet"})["EndpointStatus"] == "InService"
    single = hosting.runtime.invoke_endpoint(EndpointName="photos", Body=photo, ContentType="image/jpeg")
    expected = probabilities(single["Body"].read())
    for name in ("one", "two", "one"):
        answer = hosting.runtime.invoke_endpoint(
            EndpointName="fleet", Body=photo, ContentType="image/jpeg", TargetModel=f"{name}.tar.gz"
        )
        assert probabilities(answer["Body"].read()) == pytest.approx(expected, abs=1e-4)
