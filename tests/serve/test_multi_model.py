"""A multi-model endpoint over HTTP: load, list, show, invoke and unload models with the platform's requests."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.multi_model import Endpoint
from tests.ports import free_port
from tests.server import started, wait_for


@pytest.fixture(scope="module")
def endpoint(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    base = tmp_path_factory.mktemp("multi")
    for name in ("first", "second", "damaged"):
        shutil.copytree(model, base / "models" / name / "model")
    (base / "models" / "damaged" / "model" / "model.safetensors").write_bytes(b"x")
    # Room for two models of 14 MB: each takes 260 MB and three times its weights.
    variables = {"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BASE_DIR": str(base), "BYOC_MEMORY_MB": "650"}
    port = free_port()
    with started(base, port, base, **variables) as process:
        wait_for(process, f"http://127.0.0.1:{port}")
        yield Endpoint(port, base / "models", process.pid)


@pytest.mark.slow
def test_models_are_loaded_listed_invoked_and_unloaded(endpoint: Endpoint, photo: bytes) -> None:
    # The endpoint is healthy without a model, because the platform loads a model only when it is invoked.
    assert endpoint.ask("GET", "/models") == (200, {"models": []})
    assert endpoint.ask("POST", "/models/first/invoke", photo, "image/jpeg")[0] == 404
    assert endpoint.load("first")[0] == 200
    assert endpoint.load("first")[0] == 409
    described = {"modelName": "first", "modelUrl": str(endpoint.models / "first" / "model")}
    assert endpoint.ask("GET", "/models/first") == (200, described)
    status, answer = endpoint.ask("POST", "/models/first/invoke", photo, "image/jpeg")
    assert status == 200 and answer["predictions"][0]["label"] == "coffee"
    assert endpoint.ask("POST", "/models/first/invoke", b"x", "image/jpeg")[0] == 422
    assert endpoint.ask("POST", "/invocations", photo, "image/jpeg")[0] == 404

    assert endpoint.load("second")[0] == 200 and endpoint.workers() == 2
    _, page = endpoint.ask("GET", "/models?limit=1")
    assert page["models"] == [described] and page["nextPageToken"] == "first"
    _, page = endpoint.ask("GET", "/models?limit=1&next_page_token=first")
    assert [item["modelName"] for item in page["models"]] == ["second"] and "nextPageToken" not in page

    # The memory is too small for a third model until another is unloaded.
    shutil.copytree(endpoint.models / "first", endpoint.models / "third")
    status, answer = endpoint.load("third")
    assert status == 507 and "unload others" in answer["message"]
    assert endpoint.ask("DELETE", "/models/first")[0] == 200 and endpoint.workers() == 1
    assert endpoint.ask("DELETE", "/models/first")[0] == 404
    assert endpoint.ask("GET", "/models/first")[0] == 404
    assert endpoint.ask("POST", "/models/first/invoke", photo, "image/jpeg")[0] == 404
    assert endpoint.load("third")[0] == 200
    assert endpoint.ask("POST", "/models/third/invoke", photo, "image/jpeg")[0] == 200
    for name in ("second", "third"):
        assert endpoint.ask("DELETE", f"/models/{name}")[0] == 200


def test_a_bad_model_is_refused_at_load_and_leaves_nothing(endpoint: Endpoint) -> None:
    status, answer = endpoint.load("damaged")
    assert status == 400 and "does not match its checksum" in answer["message"]
    assert endpoint.ask("GET", "/models/damaged")[0] == 404 and endpoint.workers() == 0
    assert endpoint.ask("GET", "/ping")[0] == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body must be"),
        ({"model_name": "first"}, "the body must be"),
        ({"model_name": "absent", "url": "{models}/absent/model"}, "is not a folder"),
        ({"model_name": "first", "url": "{models}/second/model"}, "must be"),
    ],
)
def test_a_load_that_names_no_model_of_the_platform_is_refused(endpoint: Endpoint, body: Any, message: str) -> None:
    if isinstance(body, dict) and "url" in body:
        body = body | {"url": body["url"].replace("{models}", str(endpoint.models))}
    status, answer = endpoint.ask("POST", "/models", body)
    assert status == 400 and message in answer["message"]
