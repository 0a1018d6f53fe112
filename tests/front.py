"""The public port in this process, with a stand-in for the model server and its worker."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from serve.front import ONLY, Front
from serve.intake import Intake
from serve.model import Model
from serve.model_server import ModelServer
from serve.serve import _listening
from serve.settings import read_settings
from tests import wire
from tests.ports import free_port
from tests.standin import Said, StandIn

INFERENCE_ID, ATTRIBUTES = "X-Amzn-SageMaker-Inference-Id", "X-Amzn-SageMaker-Custom-Attributes"
JPEG = {"Content-Type": "image/jpeg"}


class Served:
    """A port, before a model that is ready; `run` asks in a thread while the port is open."""

    def __init__(self, folder: Path, server: ModelServer, told: dict[str, str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = read_settings(["--host", "127.0.0.1", "--port", str(port)], told)
        self.folder, self.stand_in = folder, StandIn(folder)
        self.front = Front(settings, server, Intake(settings))
        self.model = Model("m", folder / "artifact", folder / "store", server, settings)
        self.model._proved = True
        self.front.models[ONLY] = self.model

    def set(self, **settings: Any) -> None:
        self.front.settings = replace(self.front.settings, **settings)
        self.front.intake = Intake(self.front.settings)

    def says(self, said: Said) -> None:
        async def worker(asked: dict[str, Any], body: bytes) -> Said:
            return said

        self.stand_in.worker = worker

    def run(self, asks: Callable[[], None]) -> None:
        self.run_with_loop(lambda loop: asks())

    def run_with_loop(self, asks: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        async def run() -> None:
            managed, listening = self.front.server.managed(), _listening(self.front, self.folder / "store")
            async with self.stand_in.listening(), managed, listening:
                await asyncio.to_thread(asks, asyncio.get_running_loop())

        asyncio.run(run())

    def post(self, body: bytes = b"x", headers: dict[str, str] = JPEG) -> wire.Answer:
        return wire.ask(self.url, "POST", "/invocations", body, headers)

    def refused(self, headers: dict[str, str], body: bytes = b"x") -> tuple[int, str]:
        found = self.post(body, headers)
        return found.status, found.json["message"] if found.status >= 400 else ""

    def asked(self) -> dict[str, Any]:
        return self.stand_in.asked[-1][1]

    def metric(self, name: str) -> float:
        lines = wire.ask(self.url, "GET", "/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
