"""Serve: read the settings, start the model server, open the port, load the model, answer until SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import errno
import functools
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from pathlib import Path

from aiohttp import web

from classifier.errors import ConfigError, UserError
from classifier.names import printable
from serve.environment import misspelt
from serve.front import Endpoint, Front, make_app
from serve.intake import Intake
from serve.model_server import ModelServer
from serve.multi_model import MultiModel
from serve.protocol import Protocol
from serve.settings import MB, Settings, read_settings
from serve.single_model import SingleModel

WATCH_SECONDS = 0.1
DISK = 100 * MB  # bytes that must be free on the disk, for the prepared model, sockets and settings
# A connection on which no whole request head arrives is closed after this time. Proxies close idle connections after 60 to 75 s;
# this is longer, so that no proxy sends a request into a connection that we are closing.
IDLE_SECONDS = 300.0
CONNECTIONS = 65_536
# After a stop, requests in flight have this many seconds. With the model server's 4 s a stop takes up to 25 s; the platform kills after 30.
DRAIN_SECONDS = 18.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped and return the exit status; print one sentence when the model cannot be served."""
    argv = sys.argv[1:] if argv is None else argv
    for sentence in misspelt():
        print(printable(sentence), file=sys.stderr, flush=True)
    try:
        settings = read_settings(argv[1:] if argv[:1] == ["serve"] else argv)
        _allow_connections()
        asyncio.run(_serve(settings))
    except UserError as error:
        print(f"serving failed: {printable(str(error))}", file=sys.stderr, flush=True)
        return 1
    except OSError as error:  # a full or read-only disk
        print(f"serving failed: {error.filename or 'the disk'}: {error.strerror or error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _allow_connections() -> None:
    """Raise the limit of open files to CONNECTIONS, if this is allowed. Some systems start with 1,024, which slow clients can use up."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS if most == resource.RLIM_INFINITY else min(CONNECTIONS, most)
    if 0 <= allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _working_folder(keep=settings.keep_worker_files) as folder:
        server = ModelServer(folder, settings)
        front = make_front(server, settings)
        try:
            server.start()
            async with server.connected(), _listening(front):
                await _until(stop, _load(front), _watch(front))
                front.draining = True
                asyncio.get_running_loop().call_later(DRAIN_SECONDS, front.give_up)
        finally:
            await asyncio.to_thread(server.stop)


def make_front(server: ModelServer, settings: Settings) -> Front:
    """Return the front of an endpoint with one model or with many, depending on the settings."""
    endpoint: Endpoint = MultiModel(server, settings) if settings.multi_model else SingleModel(server, settings)
    return Front(settings=settings, intake=Intake(settings), endpoint=endpoint)


@contextlib.contextmanager
def _working_folder(*, keep: bool) -> Iterator[Path]:
    """Make a folder for everything that the server writes, and remove it after the block unless the settings keep it.

    Raises ConfigError when the disk is too full.
    """
    folder = Path(tempfile.mkdtemp(prefix="byoc-"))
    if keep:
        print(f"the files of the model server and its workers are kept in {folder}", flush=True)
    try:
        _check_disk(folder.parent)
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _check_disk(folder: Path) -> None:
    # On a full disk Java would only say "Invalid configuration: null", and OpenVINO "iostream error".
    left = shutil.disk_usage(folder).free
    if left < DISK:
        raise ConfigError(f"{folder} has {left // MB} MB left, {DISK // MB} are needed; free some or set TMPDIR")


@contextlib.asynccontextmanager
async def _listening(front: Front) -> AsyncIterator[None]:
    app = make_app(front)
    # Cancel a request when its client disconnects; retries would otherwise queue work that nobody reads.
    runner = web.AppRunner(app, shutdown_timeout=DRAIN_SECONDS + 1, handler_cancellation=True)
    await runner.setup()
    loop, (host, port) = asyncio.get_running_loop(), (front.settings.host, front.settings.port)
    listener: asyncio.Server | None = None
    assert runner.server is not None
    connection = functools.partial(Protocol, runner.server, loop=loop, keepalive_timeout=IDLE_SECONDS)
    try:
        try:
            listener = await loop.create_server(connection, host, port, backlog=1024)
        except (OSError, OverflowError) as error:
            taken = "is in use" if getattr(error, "errno", None) == errno.EADDRINUSE else f"cannot be opened ({error})"
            raise ConfigError(f"port {port} on {host} {taken}; choose another with --port") from error
        yield
    finally:
        if listener:
            listener.close()
        await runner.cleanup()


async def _load(front: Front) -> None:
    loaded = await front.endpoint.start()
    front.metrics.started()
    print(f"ready: {loaded}", flush=True)


async def _watch(front: Front) -> None:
    """Probe every model again and again; raises UserError when the endpoint will never answer a request."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        await asyncio.gather(*(model.probe() for model in front.endpoint.all_models()))
        failure = front.endpoint.failure()
        if failure:
            raise failure


async def _until(stop: asyncio.Event, *work: Coroutine[None, None, None]) -> None:
    """Run the coroutines until `stop` is set; raises the first error that any coroutine raises."""
    stopped = asyncio.create_task(_wait(stop))
    tasks = {stopped, *map(asyncio.create_task, work)}
    try:
        while not stopped.done():
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
