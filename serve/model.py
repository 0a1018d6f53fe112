"""One model in the model server: prepared by a program of its own, served by workers, watched through their status files."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from classifier.errors import ArtifactError, UserError
from serve.handler import ANSWERED, ASKED, SETTINGS
from serve.model_server import LENT_BYTES, ModelServer
from serve.settings import Settings

Answered = tuple[int, bytes, str, dict[str, float] | None]

LOAD_SECONDS = 300.0
POLL_SECONDS = 0.05


class OutOfMemory(UserError):
    """There is no memory for another model."""


class Model:
    """A model directory on its way to answers; `name` is ours, never the client's."""

    def __init__(self, name: str, model_dir: Path, store: Path, server: ModelServer, settings: Settings) -> None:
        self.name, self.model_dir = name, model_dir
        self._folder, self._server, self._settings = store / name, server, settings
        self._status = self._folder / "status"
        self.code = (model_dir / "code").exists() or (model_dir / "code").is_symlink()  # brings functions of its own
        self._seen: set[str] = set()
        self._proved = False
        # What the model server holds is computed even if its client has gone, so it gets no more than keeps its workers
        # busy: a pass each, and the next one.
        self._turn = asyncio.Semaphore(2 * settings.workers * settings.batch_size)

    async def load(self, client: aiohttp.ClientSession) -> None:
        """Return once a worker has loaded the model, passed its self-test and answered; raises UserError when none can."""
        await self.start()
        deadline = time.monotonic() + LOAD_SECONDS
        while not await self.prove(client):
            failure = self.failure()
            if failure or time.monotonic() > deadline:
                raise ArtifactError(failure or f"no worker was ready within {LOAD_SECONDS:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def start(self) -> None:
        """Check and prepare the model and start its workers; raises UserError with the reason when it cannot be served."""
        self._status.mkdir(parents=True)
        if self.code and not self._settings.model_code:
            raise ArtifactError(
                f"{self.model_dir} brings code, which is not run; remove its folder code, or set ALLOW_MODEL_CODE=true "
                "if you trust whoever made it"
            )
        if not self.code or (self.model_dir / "model.json").exists():
            await self._prepare()
        self._write_archive()
        await self._server.register(
            self.name,
            self._folder,
            workers=self._settings.workers,
            batch_size=1 if self.code else self._settings.batch_size,
            timeout=self._settings.timeout,
        )

    async def _prepare(self) -> None:
        command = [sys.executable, "-P", "-m", "serve.prepare", "--model-dir", str(self.model_dir)]
        command += ["--out", str(self._folder / "prepared"), "--backend", self._settings.backend]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(self._folder)},  # torch leaves a folder there
            start_new_session=True,
        )
        try:
            _, errors = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        told = errors.decode(errors="replace").strip().splitlines() or ["it wrote nothing"]
        if process.returncode == -9:
            raise OutOfMemory(f"preparing {self.model_dir} was killed, most likely for want of memory; give it more")
        if process.returncode:
            raise ArtifactError(told[-1][:600])

    def _write_archive(self) -> None:
        manifest = {"specificationVersion": "1.0", "model": {"modelName": self.name, "handler": "serve.handler:handle"}}
        (self._folder / "MAR-INF").mkdir()
        (self._folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
        told = {
            "model_dir": str(self.model_dir),
            "prepared": str(self._folder / "prepared"),
            "code": self.code,
            "threads": self._settings.threads,
            "top_k": self._settings.top_k,
            "max_pixels": self._settings.max_pixels,
        }
        (self._folder / SETTINGS).write_text(json.dumps(told))

    async def prove(self, client: aiohttp.ClientSession) -> bool:
        """Return whether a request would be answered now; to be called again and again.

        A worker that says it is ready is sent a probe: only its answer shows that the model server knows it too.
        """
        if not self.ready_workers():
            self._proved = False
        elif not self._proved:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                status, _, _, told = await self.ask(client, b"", {"probe": True})
                self._proved = status == 200 and told is not None
        return self._proved

    async def ask(self, client: aiohttp.ClientSession, body: bytes, asked: dict[str, Any]) -> Answered:
        """Return status, text, content type, and what the worker tells of it, or None when no worker answered."""
        await self._turn.acquire()
        sent = asyncio.create_task(self._send(client, body, asked))
        sent.add_done_callback(self._done)
        return await asyncio.shield(sent)  # whoever gives up its answer leaves the turn to it until it is computed

    def _done(self, sent: "asyncio.Task[Answered]") -> None:
        self._turn.release()
        if not sent.cancelled():
            sent.exception()  # nobody may be left to hear of it

    async def _send(self, client: aiohttp.ClientSession, body: bytes, asked: dict[str, Any]) -> Answered:
        url = f"http://model-server/predictions/{self.name}"
        with _lent(body) as path:
            if path:
                body, asked = b"", asked | {"body": path}
            headers = {ASKED: json.dumps(asked), "Content-Type": "application/octet-stream"}
            async with client.post(url, data=body, headers=headers) as answer:
                told = answer.headers.get(ANSWERED)
                content_type = answer.headers.get("Content-Type", "application/json")
                return answer.status, await answer.read(), content_type, None if told is None else json.loads(told)

    @property
    def ready(self) -> bool:
        """Whether the last `prove` found a worker; it is asked several times a second."""
        return self._proved

    @property
    def restarts(self) -> int:
        """How many workers have replaced others."""
        return max(0, len(self._seen) - self._settings.workers)

    def failure(self) -> str | None:
        """Return why no worker will ever serve, or None as long as one may."""
        with contextlib.suppress(FileNotFoundError):
            return (self._status / "failed").read_text()
        return self._server.failure()

    def ready_workers(self) -> int:
        """Return how many living workers have loaded the model and passed its self-test."""
        count = 0
        for mark in self._status.glob("*.ready"):
            self._seen.add(mark.stem)
            if _alive(int(mark.stem)):
                count += 1
            else:
                mark.unlink(missing_ok=True)
        return count

    async def unload(self) -> None:
        """Stop the workers; returns when they are gone and their memory is free."""
        with contextlib.suppress(UserError):  # never registered
            await self._server.unregister(self.name)
        end = time.monotonic() + LOAD_SECONDS
        while self.ready_workers() and time.monotonic() < end:
            await asyncio.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _lent(body: bytes) -> Iterator[str | None]:
    """Give the path at which a worker finds a large body while the block runs, or None for one to be sent to it.

    On its way through the model server a body is held three times, in a heap that large ones do not fit.
    """
    if len(body) < LENT_BYTES:
        yield None
        return
    with os.fdopen(os.memfd_create("body"), "wb", buffering=0) as file:
        view = memoryview(body)
        while view:
            view = view[file.write(view) :]
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def _alive(pid: int) -> bool:
    """Return whether a process runs; a zombie answers signals but serves nobody."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
