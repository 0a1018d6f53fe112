"""A multi-model endpoint's routes in this process, with a stand-in for the model server: loads, lists and refusals."""

import asyncio
import json
import shutil
import socket
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve.model_workers import ModelWorkers
from serve.settings import MB
from serve.status import Failure, StatusWriter
from tests import wire
from tests.front import Served
from tests.standin import Said

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")
WEIGHTS = 10 * MB
NEEDED = 260 * MB + 3 * WEIGHTS
USAGE = namedtuple("USAGE", "total used free")


class Endpoint(Served):
    """A multi-model port whose models are code; this process is the one worker of each."""

    fails: Failure | None = None  # the failure of each load; None if loads succeed
    hangs = False  # if true, no load ends

    def manager(self, method: str) -> Said:
        if method == "POST" and not self.hangs:
            status = StatusWriter(self.folder / "store" / self.stand_in.orders[-1][2]["model_name"])
            status.loading()
            status.failed(self.fails) if self.fails else status.ready()
        if method == "DELETE":
            for mark in self.folder.glob(f"{self.stand_in.orders[-1][1].replace('/models', 'store')}/status/*"):
                mark.unlink()
        return 200, b"{}"

    def add(self, name: str) -> Path:
        folder = self.folder / "models" / name / "model"
        (folder / "code").mkdir(parents=True)
        (folder / "code" / "inference.py").touch()
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(WEIGHTS)
        return folder

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        found = wire.ask(self.url, method, path, data)
        return found.status, found.json["message"] if found.status >= 400 else json.loads(found.body or b"null")

    def load(self, name: str) -> tuple[int, Any]:
        return self.ask("POST", "/models", {"model_name": name, "url": f"{self.folder}/models/{name}/model"})


@pytest.fixture
def endpoint(started: Callable[..., Served], tmp_path: Path) -> Endpoint:
    variables = {"SAGEMAKER_MULTI_MODEL": "true", "ALLOW_MODEL_CODE": "true", "SAGEMAKER_BASE_DIR": str(tmp_path)}
    made = Endpoint(tmp_path, started().server, variables)
    made.stand_in.manager = made.manager
    return made


def test_a_model_is_loaded_under_a_name_of_ours_and_unloaded_without_a_trace(endpoint: Endpoint) -> None:
    first, second = endpoint.add("first"), endpoint.add("second")

    def asks() -> None:
        assert endpoint.load("first") == (200, {"status": "the model first is loaded"})
        body = {"model_name": "second", "url": f"{second}/"}
        assert endpoint.ask("POST", "/models", body)[0] == 200
        assert endpoint.load("first") == (409, "the model first is already loaded")
        described = {"modelName": "first", "modelUrl": str(first)}
        assert endpoint.ask("GET", "/models/first") == (200, described)
        assert endpoint.ask("POST", "/models/second/invoke", b"x")[0] == 200
        assert endpoint.stand_in.requests[-1][0] == "m1"
        assert endpoint.ask("DELETE", "/models/first") == (200, {"status": "the model first is unloaded"})
        assert [path.name for path in (endpoint.folder / "store").iterdir()] == ["m1"]
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/invoke")):
            assert endpoint.ask(method, f"/models/first{path}") == (404, "the model first is not loaded")
        assert endpoint.ask("GET", f"/models/{'x' * 101}") == (404, f"the model {'x' * 100} is not loaded")
        assert endpoint.load("first")[0] == 200

    endpoint.run(asks)
    orders = [(method, query.get("model_name", path)) for method, path, query in endpoint.stand_in.orders]
    assert [order for order in orders if order[0] != "GET"] == [
        ("POST", "m0"),
        ("POST", "m1"),
        ("DELETE", "/models/m0"),
        ("POST", "m2"),
    ]


def test_the_files_of_a_model_that_was_unloaded_are_kept_where_they_are_asked_for(endpoint: Endpoint) -> None:
    endpoint.add("first")
    endpoint.set(keep_worker_files=True)

    def asks() -> None:
        assert endpoint.load("first")[0] == 200
        assert endpoint.ask("DELETE", "/models/first")[0] == 200
        assert (endpoint.folder / "store" / "m0" / "settings.json").exists()

    endpoint.run(asks)


def test_a_model_that_memory_does_not_suffice_for_is_507_until_another_is_unloaded(endpoint: Endpoint) -> None:
    for name in ("first", "second"):
        endpoint.add(name)
    endpoint.set(memory=2 * NEEDED - 1)

    def asks() -> None:
        assert endpoint.load("first")[0] == 200
        message = "the model second takes about 290 MB of memory and 289 MB are left; unload others"
        assert endpoint.load("second") == (507, message)
        assert endpoint.ask("DELETE", "/models/first")[0] == 200
        endpoint.set(memory=NEEDED)
        assert endpoint.load("second")[0] == 200
        endpoint.ask("DELETE", "/models/second")
        endpoint.set(given_workers=2)
        assert "takes about 580 MB of memory and 290 MB are left" in endpoint.load("second")[1]

    endpoint.run(asks)


def test_a_model_that_the_disk_does_not_suffice_for_is_507(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint.add("first")
    free = WEIGHTS + 10 * MB - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: USAGE(0, 0, free))

    def asks() -> None:
        nonlocal free
        message = "the model first takes about 20 MB of the disk and 19 MB are left; unload others"
        assert endpoint.load("first") == (507, message)
        free += 1
        assert endpoint.load("first")[0] == 200

    endpoint.run(asks)


def test_a_model_that_cannot_be_loaded_is_refused_with_the_reason_and_leaves_nothing(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    folder = endpoint.add("first")
    endpoint.set(memory=NEEDED)  # enough memory for one model: each failed load must release its share

    def asks() -> None:
        little = "there is too little memory to load it"
        for failure, status, message in (
            (Failure(reason=f"{folder} holds no weights"), 400, "first holds no weights"),
            (Failure(reason=little), 400, little),
            (Failure(reason=little, no_room=True), 507, little),
        ):
            endpoint.fails = failure
            assert endpoint.load("first") == (status, message)
            assert endpoint.ask("GET", "/models") == (200, {"models": []})
            assert not list((endpoint.folder / "store").iterdir())
        (endpoint.folder / "store").rmdir()
        (endpoint.folder / "store").touch()
        assert endpoint.load("first")[0] == 500  # the log describes unexpected errors

    endpoint.run(asks)
    assert "NotADirectoryError" in caplog.text


def test_a_disk_that_fills_up_while_a_model_is_loaded_is_507(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.add("first")
    write_text = Path.write_text

    def full(path: Path, text: str) -> int:
        if path.name == "MANIFEST.json":
            raise OSError(28, "No space left on device", str(path))
        return write_text(path, text)

    monkeypatch.setattr(Path, "write_text", full)

    def asks() -> None:
        assert endpoint.load("first") == (507, "the model first found no room in memory or on the disk; unload others")

    endpoint.run(asks)
    assert "the model first cannot be loaded" in caplog.messages


def loading(endpoint: Endpoint) -> socket.socket:
    body = json.dumps({"model_name": "first", "url": f"{endpoint.folder}/models/first/model"}).encode()
    client = wire.connect(endpoint.url)
    client.sendall(f"POST /models HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    while not endpoint.stand_in.orders or endpoint.stand_in.orders[-1][0] != "POST":
        time.sleep(0.005)
    return client


def test_whoever_does_not_wait_for_a_load_gets_nothing_loaded(endpoint: Endpoint) -> None:
    endpoint.add("first")
    endpoint.hangs = True

    def asks() -> None:
        loading(endpoint).close()
        while endpoint.front.in_flight:
            time.sleep(0.005)
        assert endpoint.stand_in.orders[-1][:2] == ("DELETE", "/models/m0")
        endpoint.hangs = False
        assert endpoint.load("first")[0] == 200  # the failed load no longer counts as a model that is being loaded

    endpoint.run(asks)


def test_a_load_that_a_stop_gives_up_is_503(endpoint: Endpoint) -> None:
    endpoint.add("first")
    endpoint.hangs = True

    def asks(loop: asyncio.AbstractEventLoop) -> None:
        with loading(endpoint) as client:
            loop.call_soon_threadsafe(endpoint.front.give_up)
            status, _, rest = client.recv(65536).partition(b"\r\n")
        assert b" 503 " in status and b'"the server is stopping"' in rest
        assert endpoint.stand_in.orders[-1][0] == "POST"  # no DELETE is sent: the workers end with the server

    endpoint.run_with_loop(asks)


def test_models_are_listed_by_name_a_hundred_a_page(endpoint: Endpoint) -> None:
    names = [f"n{number:03}" for number in range(101)]
    model = ModelWorkers("m", endpoint.folder / "artifact", endpoint.server, endpoint.front.settings)
    for name in reversed(names):
        endpoint.many.models[name] = model

    def listed(query: str) -> tuple[list[str], str | None]:
        status, page = endpoint.ask("GET", f"/models{query}")
        assert status == 200
        return [item["modelName"] for item in page["models"]], page.get("nextPageToken")

    def asks() -> None:
        for query in ("", "?limit=101", "?limit=0", "?limit=1000000", "?limit=-1", "?limit=x"):
            assert listed(query) == (names[:100], "n099")
        assert listed("?next_page_token=n099") == (["n100"], None)
        assert listed("?limit=2&next_page_token=n0005") == (names[1:3], "n002")
        assert listed("?limit=99") == (names[:99], "n098")
        assert listed("?limit=1&next_page_token=n100") == ([], None)
        del endpoint.many.models["n100"]
        assert listed("") == (names[:100], None)

    endpoint.run(asks)


def test_only_a_folder_of_the_models_own_name_is_loaded(endpoint: Endpoint) -> None:
    longest = "a" * 255  # the longest file name that Linux allows
    folder = endpoint.add(longest)
    (endpoint.folder / "models" / "linked").symlink_to(folder.parent)
    (endpoint.folder / "models" / "inner").mkdir()
    (endpoint.folder / "models" / "inner" / "model").symlink_to(folder)
    (endpoint.folder / "models" / "file").mkdir()
    (endpoint.folder / "models" / "file" / "model").touch()

    def asks() -> None:
        for name in ("linked", "inner", "file", "absent"):
            message = f"{endpoint.folder}/models/{name}/model is not a folder; links are not followed"
            assert endpoint.load(name) == (400, message)
        for wrong in ("", ".a", "a/b", "a\n", "ä", 7, None, longest + "a"):
            status, message = endpoint.load(wrong)
            assert status == 400 and "must be letters, digits, dots, dashes and underscores" in message, wrong
        assert f"model_name {'/' * 60!r} must" in endpoint.load("/" * 61)[1]
        for url in (f"{folder}//", str(folder.parent), "s3://a", None, f"file://{folder}"):
            status, message = endpoint.ask("POST", "/models", {"model_name": longest, "url": url})
            assert (status, message) == (400, f"url {str(url)[:200]!r} must be {folder}")
        for body in (b"{", b"[]", b"[" * 60_000, b"7", b'{"model_name": "a"}', b'{"url": "a"}', b"\xff", b"x" * 65_536):
            message = 'the body must be {"model_name": "...", "url": "..."}'
            assert endpoint.ask("POST", "/models", body) == (400, message), body[:20]
        assert endpoint.ask("POST", "/models", b"x" * 65_537)[0] == 413
        assert not endpoint.stand_in.orders
        assert endpoint.load(longest)[0] == 200

    endpoint.run(asks)
