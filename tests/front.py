"""The public port in this process, with a stand-in for the model server and its worker."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from serve.intake import Intake
from serve.model_server import ModelServer
from serve.multi_model import MultiModel
from serve.serve import _listening, make_front
from serve.settings import read_settings
from serve.single_model import SingleModel
from serve.worker_api import WorkerRequest
from tests import wire
from tests.ports import free_port
from tests.standin import Said, StandIn

INFERENCE_ID, ATTRIBUTES = "X-Amzn-SageMaker-Inference-Id", "X-Amzn-SageMaker-Custom-Attributes"
JPEG = {"Content-Type": "image/jpeg"}


class Served:
    """The front of a ready model, or of an endpoint with many models. `run` sends requests in a thread while the port is open."""

    def __init__(self, folder: Path, server: ModelServer, variables: dict[str, str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        given = ["--host", "127.0.0.1", "--port", str(port), "--model-dir", str(folder / "artifact")]
        self.folder, self.server, self.stand_in = folder, server, StandIn(folder)
        self.front = make_front(server, read_settings(given, variables))
        self.endpoint = self.front.endpoint
        if isinstance(self.endpoint, SingleModel):
            self.model = self.endpoint.model
            self.model._ready = True

    @property
    def many(self) -> MultiModel:
        assert isinstance(self.endpoint, MultiModel)
        return self.endpoint

    def set(self, **settings: Any) -> None:
        self.front.settings = replace(self.front.settings, **settings)
        self.front.intake = Intake(self.front.settings)
        if isinstance(self.endpoint, MultiModel):
            self.endpoint.settings = self.front.settings

    def says(self, said: Said) -> None:
        async def worker(request: WorkerRequest, body: bytes) -> Said:
            return said

        self.stand_in.worker = worker

    def run(self, asks: Callable[[], None]) -> None:
        self.run_with_loop(lambda loop: asks())

    def run_with_loop(self, asks: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        async def run() -> None:
            connected, listening = self.server.connected(), _listening(self.front)
            async with self.stand_in.listening(), connected, listening:
                await asyncio.to_thread(asks, asyncio.get_running_loop())

        asyncio.run(run())

    def post(self, body: bytes = b"x", headers: dict[str, str] = JPEG) -> wire.Answer:
        return wire.ask(self.url, "POST", "/invocations", body, headers)

    def refused(self, headers: dict[str, str], body: bytes = b"x") -> tuple[int, str]:
        found = self.post(body, headers)
        return found.status, found.json["message"] if found.status >= 400 else ""

    def last_request(self) -> WorkerRequest:
        return self.stand_in.requests[-1][1]

    def metric(self, name: str) -> float:
        lines = wire.ask(self.url, "GET", "/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
