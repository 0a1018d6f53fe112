"""One model in the model server: prepared by a program of its own, served by workers, watched through their status files."""

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

LOAD_SECONDS = 300.0
POLL_SECONDS = 0.05
PROBE_SECONDS = 2.0


class ModelWorkers:
    """A model directory on its way to answers; `name` is ours, never the client's."""

    def __init__(self, name: str, model_dir: Path, server: ModelServer, settings: Settings) -> None:
        self.name, self.model_dir = name, model_dir
        self.folder, self._server = server.store / name, server
        self.settings = settings  # those of a processor once it is the one to serve
        self._status = StatusReader(self.folder)
        self.code = code_folder(model_dir, settings)  # of functions that it brings
        self._program: Path | None = None
        self._registered = False
        self._proved = self._answered = False
        self._turn = asyncio.Semaphore(1)  # until it is known what serves

    async def load(self) -> None:
        """Return once a worker has loaded the model, passed its self-test and answered; raises UserError when none can."""
        await self.start()
        deadline = time.monotonic() + LOAD_SECONDS
        while not await self.prove():
            failure = self.failure()
            if failure or time.monotonic() > deadline:
                raise failure or ArtifactError(f"no worker was ready within {LOAD_SECONDS:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def start(self) -> None:
        """Check and prepare the model and start its workers; raises UserError with the reason when it cannot be served."""
        self._status.create()
        self._program = find_program(self.model_dir, self.settings)
        warning = self.code and ignored_requirements(self.code)
        if warning:
            logging.warning("%s", warning)
        if not self.code or (self.model_dir / "model.json").exists():
            await self._prepare()
            if not self.code and Prepared.read(self.folder / "prepared").backend.device == "cpu":
                self.settings = replace(self.settings, gpus=0)
        # What the model server holds is computed even if its client has gone, so it gets no more than keeps its workers
        # busy: a pass each, and the next one.
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
            env=os.environ | {"TMPDIR": str(self.folder)},  # torch leaves a folder there
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
            raise NoRoom(f"preparing {self.model_dir} was killed, most likely for want of memory; give it more")
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

    async def prove(self) -> bool:
        """Return whether a request would be answered now; to be called again and again.

        A worker that says it is ready is sent a probe: only its answer shows that the model server knows it too. If the model
        has answered before, one that does not answer at once is busy with the requests that waited for it.
        """
        if not self.ready_workers():
            self._proved = False
        elif not self._proved:
            with contextlib.suppress(aiohttp.ClientError, NoAnswer):
                try:
                    async with asyncio.timeout(PROBE_SECONDS):
                        await self.ask(b"", WorkerRequest(probe=True))
                except TimeoutError:
                    self._proved = self._answered
        return self._proved

    async def ask(self, body: bytes, request: WorkerRequest) -> Answer:
        """Return the worker's answer; raises NoAnswer when no worker answered, and aiohttp.ClientError when the model server did not."""
        await self._turn.acquire()
        sent = asyncio.create_task(self._send(body, request))
        sent.add_done_callback(self._done)
        return await asyncio.shield(sent)  # if the caller is cancelled, its turn ends only once the answer is computed

    def _done(self, sent: "asyncio.Task[Answer]") -> None:
        self._turn.release()
        if not sent.cancelled():
            sent.exception()  # nobody may be left to hear of it

    async def _send(self, body: bytes, request: WorkerRequest) -> Answer:
        answer = await self._server.predict(self.name, request, body)
        if answer.status == 200 or not request.probe:
            self._proved = self._answered = True
        return answer

    def without_paths(self, text: str, name: str) -> str:
        """Return a sentence without the names of folders, which no client should learn."""
        for path in (self.model_dir, self.folder):
            text = text.replace(str(path), name)
        return text

    @property
    def ready(self) -> bool:
        """Whether the last `prove` found a worker; it is asked several times a second."""
        return self._proved

    @property
    def gone(self) -> bool:
        """Whether the model was unloaded, which a request may learn when its body has arrived."""
        return self._status.unloading

    @property
    def restarts(self) -> int:
        """How many workers have replaced others."""
        return max(0, self._status.seen - self.settings.workers)

    def ready_workers(self) -> int:
        """Return how many living workers have loaded the model."""
        return self._status.ready()

    def failure(self) -> UserError | None:
        """Return why no worker will ever serve, or None as long as one may."""
        gone = self._server.failure()
        return UserError(gone) if gone else self._status.failure()

    async def unload(self) -> None:
        """Stop the workers; returns when they are gone and their memory is free."""
        self._status.unloading = True
        if self._registered:
            try:
                await self._server.unregister(self.name)
            except UserError as error:
                logging.warning("%s", error)
        # Trap: of a worker that still loads, the model server ends the parent alone.
        for pid in self._status.loading():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + LOAD_SECONDS
        while (self._status.ready() or self._status.loading()) and time.monotonic() < end:
            await asyncio.sleep(POLL_SECONDS)
