"""A model in the front's process, with a stand-in for the model server."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from serve.model import Answered, Model
from serve.model_server import ModelServer
from serve.settings import Settings
from tests.standin import StandIn

ABSENT = 2**22 + 1  # no process has this number
CODE = {"ALLOW_MODEL_CODE": "true", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


class Parts:
    """A model of code without a worker, its status folder, and the model server that stands in."""

    def __init__(self, folder: Path, settings: Settings, server: ModelServer) -> None:
        self.folder, self.server, self.stand_in = folder, server, StandIn(folder)
        self.model = Model("m0", folder / "artifact", folder / "store", server, settings)
        self.status = folder / "store" / "m0" / "status"
        self.status.mkdir(parents=True)

    def run(self, asks: Callable[[aiohttp.ClientSession], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            connector = aiohttp.UnixConnector(path=str(self.folder / "infer.sock"))
            async with (
                self.stand_in.listening(),
                self.server.managed(),
                aiohttp.ClientSession(connector=connector) as client,
            ):
                return await asks(client)

        return asyncio.run(run())

    def ask(self, body: bytes = b"x", **asked: Any) -> Answered:
        return self.run(lambda client: self.model.ask(client, body, asked))

    def prove(self) -> bool:
        return self.run(self.model.prove)

    def mark(self, *names: str) -> None:
        for name in names:
            (self.status / name).touch()
