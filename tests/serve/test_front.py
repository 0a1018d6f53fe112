"""The public port in this process, with requests on one connection that stays open: readiness, and the answers while the server stops."""

import asyncio
import contextlib
import http.client
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from serve.front import Front, make_app
from serve.model_server import ModelServer
from serve.multi_model import MultiModel
from serve.serve import make_front
from serve.settings import read_settings
from tests.gate import Gate

# aiohttp gives this warning once, when a value is first stored in a request under a string.
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")
MULTI = {"SAGEMAKER_MULTI_MODEL": "true"}


class Asker:
    """One connection; `ask` fails if the server has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.connect()
        self._connection.auto_open = False

    def send(self, method: str, path: str, body: bytes | None = None) -> None:
        self._connection.request(method, path, body, {"Content-Type": "image/jpeg"} if body else {})

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        self.send(method, path, body)
        return self.answer()

    def answer(self) -> tuple[int, str]:
        answer = self._connection.getresponse()
        text = answer.read().decode()
        assert answer.getheader("Retry-After") == ("1" if answer.status == 503 else None)
        return answer.status, json.loads(text)["message"] if answer.status >= 400 else text

    def close(self) -> None:
        self._connection.close()


def with_front(folder: Path, variables: dict[str, str], asks: Callable[[Front, Asker], None]) -> None:
    """Open the port of a server that has no model yet, and send requests in a thread."""
    settings = read_settings([], variables | {"SAGEMAKER_BASE_DIR": str(folder)})
    server = ModelServer(folder, settings)
    server.start()

    async def run() -> None:
        front = make_front(server, settings)
        runner = web.AppRunner(make_app(front))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            with contextlib.closing(Asker(runner.addresses[0][1])) as asker:
                await asyncio.to_thread(asks, front, asker)
        finally:
            await runner.cleanup()

    try:
        asyncio.run(run())
    finally:
        server.stop()


def test_ping_says_on_an_open_connection_that_the_server_is_stopping(tmp_path: Path) -> None:
    def asks(front: Front, asker: Asker) -> None:
        assert asker.ask("GET", "/ping") == (503, "the model server has not started yet")
        assert isinstance(front.endpoint, MultiModel)
        front.endpoint.started = True
        assert asker.ask("GET", "/ping") == (200, "")
        front.draining = True
        assert asker.ask("GET", "/ping") == (503, "the server is stopping")

    with_front(tmp_path, MULTI, asks)


def test_what_comes_while_the_server_stops_is_503_on_an_open_connection(tmp_path: Path) -> None:
    (tmp_path / "models" / "first" / "model").mkdir(parents=True)
    order = json.dumps({"model_name": "first", "url": str(tmp_path / "models" / "first" / "model")}).encode()

    def asks(front: Front, asker: Asker) -> None:
        front.draining = True
        assert asker.ask("POST", "/models", order) == (503, "the server is stopping")
        assert asker.ask("GET", "/models") == (200, '{"models": []}')

    with_front(tmp_path, MULTI, asks)


def test_a_photo_that_comes_before_the_model_or_while_the_server_stops_is_503(tmp_path: Path) -> None:
    def asks(front: Front, asker: Asker) -> None:
        assert asker.ask("GET", "/ping") == (503, "no worker has loaded the model yet; try again")
        assert asker.ask("POST", "/invocations", b"x") == (503, "no worker has loaded the model yet; try again")
        front.draining = True
        assert asker.ask("POST", "/invocations", b"x") == (503, "the server is stopping")
        assert asker.ask("GET", "/ping") == (503, "the server is stopping")
        assert 'byoc_requests_total{code="503"} 2.0' in asker.ask("GET", "/metrics")[1]

    with_front(tmp_path, {}, asks)


def test_while_a_model_is_loaded_a_second_order_to_load_it_is_409(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "first" / "model").mkdir(parents=True)
    order = json.dumps({"model_name": "first", "url": str(tmp_path / "models" / "first" / "model")}).encode()
    gate = Gate(tmp_path)
    for name, value in gate.variables.items():
        monkeypatch.setenv(name, value)

    def asks(front: Front, asker: Asker) -> None:
        asker.send("POST", "/models", order)
        with contextlib.closing(Asker(asker.port)) as other:
            assert other.ask("POST", "/models", order) == (409, "the model first is already loaded")
        gate.open()
        status, message = asker.answer()  # the folder is empty; only the process that prepares the model notices this
        assert status == 400 and "model.json is missing" in message

    with_front(tmp_path, MULTI, asks)
