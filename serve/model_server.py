"""multi-model-server as a child process: its settings, its start and end, its models, and the requests to them.

It listens on Unix sockets in a private folder, so that only the front reaches it: its management interface would download and
run any client's code. We choose the names under which models are registered.
"""

import asyncio
import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import aiohttp

from classifier.errors import ConfigError, UserError
from serve.environment import PYTHONPATH
from serve.java_command import LOGGING, PROPERTIES, java_command, logging_settings
from serve.settings import Settings
from serve.worker_api import HEADER, LENT_BYTES, Answer, WorkerRequest, lend

STOP_SECONDS = 4
# The longest wait for the rest of the output after the program has ended; a busy machine takes seconds.
READ_SECONDS = 10
MAX_SOCKET_PATH = 100  # bytes; Linux allows 107, and the workers' sockets have longer names than ours
START_SECONDS = 300.0
# A front that is killed cannot stop the model server. So a shell in the model server's process group waits for the end of a
# pipe that only the front holds open, and then kills the group. Trap: the pipe is passed as standard input, because some shells
# (dash) cannot redirect a file descriptor above 9. The shell's own output goes to /dev/null, so that the output ends when Java ends.
_LEASH = 'exec 3<&0 </dev/null; (read end <&3; kill -9 0) >/dev/null 2>&1 & exec "$@" 3<&-'
_HOST = "http://model-server"  # any host name works, because the connection is a Unix socket
# The beginnings of the lines that the model server adds to its workers' own lines.
_TALK = ("attachIOStreams()", "terminateIOStreams()", "Stopped Scanner")


class NoAnswer(Exception):
    """The model server itself answered a request, with this status, because no worker did."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the model server answered {status} by itself")
        self.status = status


class ModelServer:
    """A multi-model-server that keeps its files in `folder` and logs to standard error.

    `start` starts it; requests and orders can be sent within `connected`.
    """

    _inference: aiohttp.ClientSession  # set only within `connected`
    _management: aiohttp.ClientSession

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self._settings = folder, settings
        self._inference_socket, self._management_socket = folder / "infer.sock", folder / "manage.sock"
        self._last_lines: collections.deque[str] = collections.deque(maxlen=5)
        self._process: subprocess.Popen[str] | None = None

    @property
    def store(self) -> Path:
        """The folder that holds a folder for each model."""
        return self.folder / "store"

    def start(self) -> None:
        """Start the process; raises ConfigError when the folder's path is too long, UserError when Java or the package is missing."""
        if len(os.fsencode(self._management_socket)) > MAX_SOCKET_PATH:
            raise ConfigError(
                f"{self.folder} is too long a path for Unix sockets; set TMPDIR to a folder with a shorter one"
            )
        command = java_command(self.folder)
        self.store.mkdir()
        properties = (f"{key}={value}\n" for key, value in self._properties().items())
        (self.folder / PROPERTIES).write_text("".join(properties))
        (self.folder / LOGGING).write_text(logging_settings(workers_output=self._settings.model_code))
        read_end, self._life = os.pipe()
        self._process = subprocess.Popen(
            ["sh", "-c", _LEASH, "sh", *command],
            stdin=read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environment(),
            cwd=self.folder,
            start_new_session=True,  # its own process group, through which `stop` reaches every worker
        )
        os.close(read_end)
        self._reader = threading.Thread(target=self._pass_on, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _properties(self) -> dict[str, object]:
        return {
            "inference_address": f"unix:{self._inference_socket}",
            "management_address": f"unix:{self._management_socket}",
            "model_store": self.store,
            # Longer than the front waits. Trap: the model server leaves a stuck worker alone long after this; serve.handler ends it.
            "default_response_timeout": self._settings.timeout + 1,
            "unregister_model_timeout": STOP_SECONDS,
            "max_request_size": LENT_BYTES + 4096,
            "number_of_gpu": self._settings.gpus,  # otherwise it would also count the GPUs that the user hides from us
            "job_queue_size": self._settings.queue + 10,
            "decode_input_request": "false",
            "enable_envvars_config": "false",
        }

    def _environment(self) -> dict[str, str]:
        packages = [str(Path(__file__).parent.parent), *filter(None, [PYTHONPATH.read()])]
        return os.environ | {
            "OMP_NUM_THREADS": str(self._settings.threads),
            # Lets the workers import this package from any working folder.
            "PYTHONPATH": os.pathsep.join(packages),
            "TEMP": str(self.folder),
            "TMPDIR": str(self.folder),
            "LOG_LOCATION": str(self.folder / "logs"),
            "METRICS_LOCATION": str(self.folder / "logs"),
            # Otherwise glibc would return a decoded photo's memory and request it again: 130 instead of 82 ms at 12 megapixels.
            "MALLOC_MMAP_THRESHOLD_": "1073741824",
            "MALLOC_TRIM_THRESHOLD_": "1073741824",
        }

    def _pass_on(self, output: IO[str]) -> None:
        started = False
        with output as lines:
            for line in lines:
                self._last_lines.append(line.strip())
                # Before the start, newer versions of Java print warnings about the model server's old libraries.
                if started and not line.startswith(_TALK):
                    print(line, end="", file=sys.stderr, flush=True)
                started = started or line.startswith("Model server started")

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid if self._process else 0

    def failure(self) -> str | None:
        """Return why the process has ended, or None while it runs."""
        status = self._process.poll() if self._process else None
        if status is None:
            return None
        if status < 0:  # a signal ended it, so the last line of its log is not the reason
            return f"the model server was ended by {signal.Signals(-status).name}"
        self._reader.join(READ_SECONDS)  # the last line may still be in the pipe
        last = self._last_lines[-1] if self._last_lines else "it wrote nothing"
        return f"the model server ended with status {status}: {last[:300]}"

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Hold the connections to the model server open; within this block requests and orders can be sent."""
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=str(self._inference_socket), limit=0),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            ) as self._inference,
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=str(self._management_socket))
            ) as self._management,
        ):
            yield

    async def predict(self, model: str, request: WorkerRequest, body: bytes) -> Answer:
        """Return a worker's answer to a request.

        Raises NoAnswer when no worker answered, TimeoutError after the settings' `timeout`, and aiohttp.ClientError when the model
        server did not answer either.
        """
        with contextlib.ExitStack() as stack:
            loan = None
            if len(body) > LENT_BYTES or request.may_have_large_answer:
                loan = stack.enter_context(lend(body))
                body, request = b"", replace(request, lent=loan.place)
            headers = {HEADER: request.to_header(), "Content-Type": "application/octet-stream"}
            async with self._inference.post(f"{_HOST}/predictions/{model}", data=body, headers=headers) as reply:
                answer = Answer.from_bytes(await reply.read(), loan)
        if answer is None:
            raise NoAnswer(reply.status)
        return answer

    async def started(self) -> None:
        """Return once the management interface answers; raises UserError when the process ends before that."""
        end = time.monotonic() + START_SECONDS
        while not self.failure() and time.monotonic() < end:
            with contextlib.suppress(aiohttp.ClientError):
                async with self._management.get(f"{_HOST}/models"):
                    return
            await asyncio.sleep(0.05)
        raise UserError(self.failure() or f"the model server did not start within {START_SECONDS:g} s")

    async def register(self, name: str, folder: Path, *, workers: int, batch_size: int, timeout: int) -> None:
        """Start workers for the model whose manifest is in `folder`, which is in the store.

        Each answer may take `timeout` seconds. Raises UserError when the model server refuses.
        """
        query = {
            "url": folder.name,
            "model_name": name,
            "handler": "serve.handler:handle",
            "initial_workers": str(workers),
            "synchronous": "false",
            "batch_size": str(batch_size),
            "max_batch_delay": "5",  # ms that a request may wait for others to share its pass
            "response_timeout": str(timeout + 1),
        }
        await self.started()
        await self._order("POST", "/models", query)

    async def unregister(self, name: str) -> None:
        """Stop a model's workers and forget the model; raises UserError when the model server refuses."""
        await self._order("DELETE", f"/models/{name}", {})

    async def _order(self, method: str, path: str, query: dict[str, str]) -> None:
        try:
            async with self._management.request(method, f"{_HOST}{path}", params=query) as answer:
                if answer.status >= 400:
                    raise UserError(f"the model server refused {method} {path}: {(await answer.text())[:300]}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UserError(self.failure() or f"the model server did not answer {method} {path}") from error

    def stop(self) -> None:
        """End the process and its workers, if it was started; returns when no process of the group is left and all its output is logged."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
                break
        # Java has ended; a worker may be left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self._life)
        self._reader.join(STOP_SECONDS)  # otherwise a line of a worker could follow the program's own last line
