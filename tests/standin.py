"""A stand-in for multi-model-server: a script in place of Java, and its two sockets, which this process serves."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from classifier.backends import BACKENDS
from classifier.selftest import Difference
from classifier.spec import ModelSpec, Preprocessing
from serve.predictor import Prepared
from serve.worker_api import HEADER, Answer, Timing, WorkerRequest, WorkerSettings

Said = tuple[int, bytes]  # the status and the body of an answer of the model server itself
TIMING = Timing(decode=0.25, model=0.5, photos=3, batch=2)


def java(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the Java program with a shell script."""
    program = folder / "jdk" / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.unlink(missing_ok=True)  # the old program may be running
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(folder / "jdk"))


def answer(status: int = 200, text: bytes = b"{}", *, lent: bool = False, **facts: Any) -> Said:
    """Return a worker's answer as the model server passes it on."""
    return 200, Answer(status, text, **{"timing": TIMING} | facts).to_bytes(lent=lent)


async def ok(request: WorkerRequest, body: bytes) -> Said:
    return answer()


def worker_settings(model_dir: Path, program: str = "inference.py", **others: Any) -> WorkerSettings:
    """Return the settings of a worker for code in the folder `code` of a model's folder, without prepared files."""
    code = model_dir / "code"
    usual = {"prepared": model_dir / "absent", "code": code, "program": code / program, "accept": "application/json"}
    usual |= {"threads": 1, "decoders": 1, "top_k": 5, "max_pixels": 1_000_000, "timeout": 40}
    return WorkerSettings(model_dir=model_dir, **usual | others)


def prepared_for(backend: str) -> Prepared:
    """Return the file that serve.prepare writes about a model on a backend."""
    preprocessing = Preprocessing(resize=8, crop=8, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    spec = ModelSpec(
        backbone="any", features=3, head_hidden=(), head_dropout=0.0, classes=("a", "b"), preprocessing=preprocessing
    )
    difference = Difference(largest=0.002, mean=0.001, top1_changes=0)
    return Prepared(
        backend=BACKENDS[backend],
        spec=spec,
        artifact=Path("artifact"),
        ir=None,
        difference=difference,
        verdict=None,
        refused={"torch": "why"},
    )


class StandIn:
    """The sockets in `folder`. `worker` answers requests and `manager` answers management calls; two lists keep what arrived."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.requests: list[tuple[str, WorkerRequest, bytes]] = []
        self.orders: list[tuple[str, str, dict[str, str]]] = []
        self.worker: Callable[[WorkerRequest, bytes], Awaitable[Said]] = ok
        self.manager: Callable[[str], Said] = lambda method: (200, b"{}")

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/predictions/{name}", self._predict)
        app.router.add_route("*", "/models{rest:.*}", self._manage)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        for name in ("infer.sock", "manage.sock"):
            await web.UnixSite(runner, str(self._folder / name)).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _predict(self, request: web.Request) -> web.Response:
        sent, body = WorkerRequest.from_header(request.headers[HEADER]), await request.read()
        self.requests.append((request.match_info["name"], sent, body))
        status, data = await self.worker(sent, body)
        if not status:  # the connection breaks, as if the server had died
            assert request.transport
            request.transport.abort()
        return web.Response(status=status or 200, body=data)

    async def _manage(self, request: web.Request) -> web.Response:
        self.orders.append((request.method, request.path, dict(request.query)))
        status, data = self.manager(request.method)
        return web.Response(status=status, body=data)
