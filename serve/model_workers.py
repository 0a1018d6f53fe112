"""One model in the model server: its preparation, its workers, and the queue of requests to them."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import aiohttp

from classifier.errors import ArtifactError, UserError
from serve.memory import NO_ROOM_STATUS, NoRoom
from serve.model_server import ModelServer, NoAnswer
from serve.predictor import Prepared
from serve.program import code_folder, find_program, ignored_requirements
from serve.settings import Settings
from serve.status import StatusReader
from serve.worker_api import Answer, WorkerRequest, WorkerSettings

LOAD_SECONDS = 300.0  # seconds in which a model has to be loaded, or its workers have to end
POLL_SECONDS = 0.05
PROBE_SECONDS = 2.0  # seconds for the answer to a probe


class ModelWorkers:
    """A model's workers, from the check of its artifact to their end.

    `name` is the model's name in the model server. We choose it, since a name from a client cannot be trusted.
    """

    def __init__(self, name: str, model_dir: Path, server: ModelServer, settings: Settings) -> None:
        self.name, self.model_dir = name, model_dir
        self.folder, self._server = server.store / name, server
        self.settings = settings  # `gpus` is 0 if the preparation chose the processor
        self._status = StatusReader(self.folder)
        self.code = code_folder(model_dir, settings)  # the folder of the model's own code; None if it has none
        self._program: Path | None = None
        self._registered = False
        self._ready = False  # whether a worker would answer a request now
        self._answered = False  # whether a worker has answered once
        # Limits the requests that the model server holds at a time; `start` sets the number.
        self._turn = asyncio.Semaphore(1)

    async def load(self) -> None:
        """Start the workers and return when a worker has answered; raises UserError if no worker ever will."""
        await self.start()
        deadline = time.monotonic() + LOAD_SECONDS
        while not await self.probe():
            failure = self.failure()
            if failure or time.monotonic() > deadline:
                raise failure or ArtifactError(f"no worker was ready within {LOAD_SECONDS:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def start(self) -> None:
        """Check and prepare the model and start its workers; raises UserError when the model cannot be served."""
        self._status.create()
        self._program = find_program(self.model_dir, self.settings)
        warning = self.code and ignored_requirements(self.code)
        if warning:
            logging.warning("%s", warning)
        if not self.code or (self.model_dir / "model.json").exists():
            await self._prepare()
            if not self.code and Prepared.read(self.folder / "prepared").backend.device == "cpu":
                self.settings = replace(self.settings, gpus=0)
        # The model server computes every request that it holds, even if the client has disconnected. So it gets only enough requests to
        # keep its workers busy: for each worker those of one pass and of the next.
        self._turn = asyncio.Semaphore(2 * self.settings.workers * self.settings.batch_size)
        self._write_archive()
        self._registered = True
        await self._server.register(
            self.name,
            self.folder,
            workers=self.settings.workers,
            batch_size=1 if self.code else self.settings.batch_size,
            timeout=self.settings.timeout,
        )

    async def _prepare(self) -> None:
        command = [sys.executable, "-P", "-m", "serve.prepare", "--model-dir", str(self.model_dir)]
        command += ["--out", str(self.folder / "prepared"), "--backend", self.settings.backend]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(self.folder)},  # torch leaves a folder in the temporary folder
            start_new_session=True,
        )
        try:
            _, errors = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        lines = errors.decode(errors="replace").strip().splitlines() or ["it wrote nothing"]
        if process.returncode == -9:
            raise NoRoom(f"preparing {self.model_dir} was killed, most likely because memory ran out; give it more")
        if process.returncode:
            raise (NoRoom if process.returncode == NO_ROOM_STATUS else ArtifactError)(lines[-1][:600])

    def _write_archive(self) -> None:
        manifest = {"specificationVersion": "1.0", "model": {"modelName": self.name, "handler": "serve.handler:handle"}}
        (self.folder / "MAR-INF").mkdir()
        (self.folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
        WorkerSettings(
            model_dir=self.model_dir,
            prepared=self.folder / "prepared",
            code=self.code,
            program=self._program,
            accept=self.settings.accept,
            threads=self.settings.threads,
            decoders=self.settings.decoders,
            top_k=self.settings.top_k,
            max_pixels=self.settings.max_pixels,
            timeout=self.settings.timeout,
        ).write(self.folder)

    async def probe(self) -> bool:
        """Return whether a request would be answered now; has to be called repeatedly. When a worker reports that it is ready,
        send a probe, because only an answer shows that the model server passes requests on to the worker. If no answer comes in
        time although the model has answered before, its workers are busy, which counts as ready.
        """
        if not self.ready_workers():
            self._ready = False
        elif not self._ready:
            with contextlib.suppress(aiohttp.ClientError, NoAnswer):
                try:
                    async with asyncio.timeout(PROBE_SECONDS):
                        await self.ask(b"", WorkerRequest(probe=True))
                except TimeoutError:
                    self._ready = self._answered
        return self._ready

    async def ask(self, body: bytes, request: WorkerRequest) -> Answer:
        """Wait for a turn and return a worker's answer; raises the errors of ModelServer.predict.

        If the caller is cancelled, the request keeps its turn until the model server has finished it.
        """
        await self._turn.acquire()
        sent = asyncio.create_task(self._send(body, request))
        sent.add_done_callback(self._done)
        return await asyncio.shield(sent)

    def _done(self, sent: "asyncio.Task[Answer]") -> None:
        self._turn.release()
        if not sent.cancelled():
            sent.exception()  # mark the exception as seen, because asyncio would log it if the caller was cancelled

    async def _send(self, body: bytes, request: WorkerRequest) -> Answer:
        answer = await self._server.predict(self.name, request, body)
        if answer.status == 200 or not request.probe:
            self._ready = self._answered = True
        return answer

    def without_paths(self, text: str, name: str) -> str:
        """Return a sentence with the model's name instead of its folders, which clients must not see."""
        for path in (self.model_dir, self.folder):
            text = text.replace(str(path), name)
        return text

    @property
    def ready(self) -> bool:
        """Whether the last `probe` was less than a second ago and found that a request would be answered."""
        return self._ready

    @property
    def gone(self) -> bool:
        """Whether the model was unloaded, as may happen while a request's body arrives."""
        return self._status.unloading

    @property
    def restarts(self) -> int:
        """The number of workers that have replaced others."""
        return max(0, self._status.seen - self.settings.workers)

    def ready_workers(self) -> int:
        """Return how many living workers have loaded the model."""
        return self._status.ready()

    def failure(self) -> UserError | None:
        """Return why no worker will ever answer; None if a worker may still answer."""
        gone = self._server.failure()
        return UserError(gone) if gone else self._status.failure()

    async def unload(self) -> None:
        """Stop the workers; returns when they have ended, so that their memory is free."""
        self._status.unloading = True
        if self._registered:
            try:
                await self._server.unregister(self.name)
            except UserError as error:
                logging.warning("%s", error)
        # Trap: while a worker loads, the model server ends only the worker's parent process.
        for pid in self._status.loading():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + LOAD_SECONDS
        while (self._status.ready() or self._status.loading()) and time.monotonic() < end:
            await asyncio.sleep(POLL_SECONDS)
