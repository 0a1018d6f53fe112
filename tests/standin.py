"""A stand-in for multi-model-server: a script in the place of Java, and its two sockets, which this process serves."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

Said = tuple[int, bytes]  # a status of the model server's own, and a body
TOLD = {"decode": 0.25, "model": 0.5, "photos": 3, "batch": 2}


def java(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a shell script in the place of the Java program."""
    program = folder / "jdk" / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.unlink(missing_ok=True)  # it may be running
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(folder / "jdk"))


def answer(status: int = 200, text: bytes = b"{}", **facts: Any) -> Said:
    """Return a worker's answer as the model server passes it on (serve/channel.py)."""
    all_facts = {"status": status, "content_type": "application/json", "told": TOLD, "headers": {}, "refused": False}
    head = json.dumps(all_facts | {"text": None, "lent": False} | facts).encode()
    return 200, b"\x93byoc" + len(head).to_bytes(4, "big") + head + text


async def ok(asked: dict[str, Any], body: bytes) -> Said:
    return answer()


class StandIn:
    """The sockets in `folder`; `worker` answers requests and `manager` orders, and what they were asked is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.asked: list[tuple[str, dict[str, Any], bytes]] = []
        self.orders: list[tuple[str, str, dict[str, str]]] = []
        self.worker: Callable[[dict[str, Any], bytes], Awaitable[Said]] = ok
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
        asked, body = json.loads(request.headers["X-Byoc-Asked"]), await request.read()
        self.asked.append((request.match_info["name"], asked, body))
        status, data = await self.worker(asked, body)
        if not status:  # as a server that dies
            assert request.transport
            request.transport.abort()
        return web.Response(status=status or 200, body=data)

    async def _manage(self, request: web.Request) -> web.Response:
        self.orders.append((request.method, request.path, dict(request.query)))
        status, data = self.manager(request.method)
        return web.Response(status=status, body=data)
