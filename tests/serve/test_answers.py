"""The running server's answers to requests with instances, Accept or attributes, its metrics and its log. Simple requests are elsewhere."""

import contextlib
import csv
import http.client
import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ports import free_port
from tests.server import ask, get, instances, metric, post, started, wait_for

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def test_many_photos_in_one_request_are_answered_in_order(url: str, samples: Path) -> None:
    labels = ["coffee", "brick", "cat", "coffee"]
    photos = [(samples / "test" / label / "000.jpg").read_bytes() for label in labels]
    status, answer = post(url, instances(*photos), "application/json; charset=utf-8")
    assert status == 200 and [best[0]["label"] for best in answer["predictions"]] == labels
    alone = post(url, photos[1])[1]["predictions"]
    assert answer["predictions"][1] == [
        item | {"probability": pytest.approx(item["probability"], abs=1e-3)} for item in alone
    ]


def test_a_hundred_photos_in_one_request_are_answered(url: str, photo: bytes) -> None:
    status, answer = post(url, instances(*[photo] * 100), "application/json")
    assert status == 200 and [best[0]["label"] for best in answer["predictions"]] == ["coffee"] * 100


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "the body is not valid JSON"),
        (b'{"instances": [{"b64": "!"}]}', 400, "instances[0].b64 is not valid base64"),
        (instances(b"hello"), 422, "instances[0] is not a usable photo: not an image"),
    ],
)
def test_wrong_instances_get_a_sentence(url: str, body: bytes, status: int, message: str) -> None:
    got, answer = post(url, body, "application/json")
    assert got == status and message in answer["message"]


def test_the_instance_that_is_not_a_photo_is_named(url: str, photo: bytes) -> None:
    status, answer = post(url, instances(photo, photo[:100]), "application/json")
    assert status == 422 and answer["message"].startswith("instances[1] is not a usable photo")


@pytest.mark.parametrize(
    ("accept", "labels"),
    [
        ("application/json", lambda text: [item["label"] for item in json.loads(text)["predictions"]]),
        ("application/jsonlines", lambda text: [item["label"] for item in json.loads(text)["predictions"]]),
        ("text/csv", lambda text: next(csv.reader(io.StringIO(text)))[::2]),
    ],
)
def test_the_answer_has_the_form_that_accept_asks_for(
    url: str, photo: bytes, accept: str, labels: Callable[[str], list[str]]
) -> None:
    status, headers, text = ask(url, photo, Content_Type="image/jpeg", Accept=accept)
    assert status == 200 and headers["Content-Type"] == accept
    assert labels(text)[0] == "coffee" and len(labels(text)) == 5


def test_a_verbose_answer_names_the_predicted_label_and_all_labels(url: str, photo: bytes) -> None:
    verbose = "application/json;verbose"
    status, headers, text = ask(url, photo, Content_Type="image/jpeg", Accept=verbose)
    assert status == 200 and headers["Content-Type"] == verbose
    assert json.loads(text)["predicted_label"] == "coffee" and len(json.loads(text)["labels"]) == 14


def test_an_accept_that_cannot_be_satisfied_is_406_and_names_the_forms(url: str, photo: bytes) -> None:
    status, _, text = ask(url, photo, Content_Type="image/jpeg", Accept="application/xml")
    assert status == 406 and "application/json, application/json;verbose" in json.loads(text)["message"]


def test_top_k_is_understood_and_echoed(url: str, photo: bytes) -> None:
    asked = {ATTRIBUTES: "trace=7,top_k=3"}
    status, headers, text = ask(url, photo, Content_Type="image/jpeg", **asked)
    assert status == 200 and headers[ATTRIBUTES] == "trace=7,top_k=3" and len(json.loads(text)["predictions"]) == 3
    assert ATTRIBUTES not in ask(url, photo, Content_Type="image/jpeg", **{ATTRIBUTES: "trace=7"})[1]
    assert ask(url, photo, Content_Type="image/jpeg", **{ATTRIBUTES: "top_k=all"})[0] == 400


def test_metrics_count_requests_and_split_their_time(url: str, photo: bytes) -> None:
    before = metric(url, 'byoc_requests_total{code="200"}'), metric(url, 'byoc_requests_total{code="422"}')
    assert (post(url, photo)[0], post(url, b"x")[0]) == (200, 422)
    after = metric(url, 'byoc_requests_total{code="200"}'), metric(url, 'byoc_requests_total{code="422"}')
    assert after == (before[0] + 1, before[1] + 1)
    parts = [metric(url, f"byoc_{part}_seconds_sum") for part in ("decode", "model", "queue")]
    assert all(parts) and sum(parts) == pytest.approx(metric(url, "byoc_request_seconds_sum"), rel=1e-3)
    assert metric(url, "byoc_workers_ready") >= 1 and metric(url, "byoc_resident_memory_bytes") > 1e8
    assert metric(url, "byoc_batch_requests_count") >= 1 and metric(url, "byoc_worker_restarts_total") == 0


def test_execution_parameters_stay_within_batch_transforms_limits(url: str) -> None:
    told = json.loads(get(f"{url}/execution-parameters"))
    assert told["BatchStrategy"] == "SINGLE_RECORD"
    assert 1 <= told["MaxConcurrentTransforms"] * told["MaxPayloadInMB"] <= 100


@pytest.mark.slow
def test_batch_transforms_environment_sets_its_limits_and_the_port(
    model: Path,
    photo: bytes,
    tmp_path: Path,
) -> None:
    port = free_port()
    environment = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "40",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "BYOC_BATCH_SIZE": "4",
    }
    url = f"http://127.0.0.1:{port}"
    with started(model, port, tmp_path, **environment) as process:
        wait_for(process, url)
        # The body is larger than an endpoint would accept, and the answer is CSV, as the environment says.
        with Image.open(io.BytesIO(photo)) as image:
            image.resize((2000, 2000)).save(tmp_path / "large.bmp")
        large = instances(*[(tmp_path / "large.bmp").read_bytes()] * 2)
        assert 30_000_000 < len(large) < 41_943_040
        status, _, text = ask(url, large, Content_Type="application/json")
        assert status == 200 and text.count("\n") == 2
        assert {line.split(",")[0] for line in text.splitlines()} == {"coffee"}
        assert ask(url, b"x" * 41_943_041, Content_Type="image/jpeg")[0] == 413
        assert json.loads(get(f"{url}/execution-parameters")) == {
            "MaxConcurrentTransforms": 1,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": 40,
        }
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (tmp_path / "log.txt").read_text().splitlines() if line.startswith("{")
    ]
    assert [line["code"] for line in lines] == [200, 413] and lines[0]["photos"] == 2


@pytest.mark.slow
def test_a_body_that_the_model_servers_heap_could_not_hold_is_answered(
    model: Path,
    photo: bytes,
    tmp_path: Path,
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Image.open(io.BytesIO(photo)) as image:
        image.resize((7400, 7400)).save(tmp_path / "large.tiff")
    large = (tmp_path / "large.tiff").read_bytes()
    assert len(large) > 160_000_000
    told = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "200", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    with started(model, port, tmp_path, **told) as process:
        wait_for(process, url)
        for _ in range(2):
            status, _, text = ask(url, large, Content_Type="image/tiff")
            assert status == 200 and json.loads(text)["predictions"][0]["label"] == "coffee"
    assert "OutOfMemory" not in (tmp_path / "log.txt").read_text()


@pytest.mark.long
def test_a_gigabyte_of_photos_in_one_request_as_asynchronous_inference_sends_it_is_answered(
    model: Path, photo: bytes, tmp_path: Path
) -> None:
    port = free_port()
    with Image.open(io.BytesIO(photo)) as image:
        image.resize((4000, 3000)).save(tmp_path / "large.jpg", quality=98)
    large = (tmp_path / "large.jpg").read_bytes()
    count = 750_000_000 // len(large)
    told = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1024",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": "3600",
    }
    with started(model, port, tmp_path, **told) as process:
        wait_for(process, f"http://127.0.0.1:{port}")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=600)) as connection:
            body = instances(*[large] * count)
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert len(body) > 990_000_000 and answer.status == 200
            labels = [best[0]["label"] for best in json.load(answer)["predictions"]]
    assert labels == ["coffee"] * count
