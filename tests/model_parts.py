"""A model in the front's process, with a stand-in for the model server."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from serve.formats import Form
from serve.model_server import ModelServer
from serve.model_workers import ModelWorkers
from serve.settings import Settings
from serve.worker_api import Answer, WorkerRequest
from tests.standin import StandIn

PHOTO = WorkerRequest(id="7", form=Form(json=False, accept="application/json", top_k=None))
INSTANCES = WorkerRequest(id="7", form=Form(json=True, accept="application/json", top_k=None))
ABSENT = 2**22 + 1  # no process has this number
CODE = {"ALLOW_MODEL_CODE": "true", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


class Parts:
    """A model of code without a worker, its status folder, and the stand-in for the model server."""

    def __init__(self, folder: Path, settings: Settings, server: ModelServer) -> None:
        self.folder, self.server, self.stand_in = folder, server, StandIn(folder)
        self.model = ModelWorkers("m0", folder / "artifact", server, settings)
        self.status = folder / "store" / "m0" / "status"
        self.status.mkdir(parents=True)

    def run(self, asks: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with self.stand_in.listening(), self.server.connected():
                return await asks()

        return asyncio.run(run())

    def ask(self, body: bytes = b"x", request: WorkerRequest = PHOTO) -> Answer:
        return self.run(lambda: self.model.ask(body, request))

    def probe(self) -> bool:
        return self.run(self.model.probe)

    def mark(self, *names: str) -> None:
        for name in names:
            (self.status / name).touch()
