"""Serve: read the settings -> start the model server -> open the port -> load the model -> answer until SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import errno
import functools
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path

from aiohttp import web

from classifier.errors import ConfigError, UserError
from serve.front import ONLY, Front, make_app
from serve.intake import Intake
from serve.model import Model
from serve.model_server import ModelServer
from serve.multi_model import add_routes
from serve.protocol import Protocol
from serve.settings import MB, Settings, read_settings

WATCH_SECONDS = 0.1
DISK = 100 * MB  # for the prepared model, sockets and settings
# A connection without a whole request's headers is closed after this; longer than the 60 to 75 s after which proxies
# let go of idle ones, so that they never send into one that is being closed.
IDLE_SECONDS = 300.0
CONNECTIONS = 65_536
DRAIN_SECONDS = 18.0  # with the model server's own 4 s, all is over within 25 s; the platform kills after 30


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped and return the exit status; a model that cannot be served ends it with one sentence."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        settings = read_settings(argv[1:] if argv[:1] == ["serve"] else argv)
        _allow_connections()
        asyncio.run(_serve(settings))
    except UserError as error:
        print(f"serving failed: {error}", file=sys.stderr, flush=True)
        return 1
    except OSError as error:  # a full or read-only disk
        print(f"serving failed: {error.filename or 'the disk'}: {error.strerror or error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _allow_connections() -> None:
    """Let this process hold as many connections as it may: some systems start it with 1,024, which slow clients can use up."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS if most == resource.RLIM_INFINITY else min(CONNECTIONS, most)
    if 0 <= allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = Path(tempfile.mkdtemp(prefix="byoc-"))
    try:
        _check_disk(folder.parent)
        server = ModelServer(folder, settings)
        try:
            server.start()
            front = Front(settings, server, Intake(settings))
            async with server.connected(), _listening(front, folder / "store"):
                if not settings.multi_model:
                    front.models[ONLY] = Model("m", settings.model_dir.resolve(), folder / "store", server, settings)
                await _until(stop, _load(front), _watch(front))
                front.draining = True
                asyncio.get_running_loop().call_later(DRAIN_SECONDS, front.give_up)
        finally:
            await asyncio.to_thread(server.stop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_disk(folder: Path) -> None:
    # Java would say "Invalid configuration: null" of a full disk, and OpenVINO "iostream error".
    left = shutil.disk_usage(folder).free
    if left < DISK:
        raise ConfigError(f"{folder} has {left // MB} MB left, {DISK // MB} are needed; free some or set TMPDIR")


@contextlib.asynccontextmanager
async def _listening(front: Front, store: Path) -> AsyncIterator[None]:
    app = make_app(front)
    if front.settings.multi_model:
        add_routes(app, store)
    # Whose client has gone is not computed: clients that time out and try again would pile up work for nobody.
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
    """Load the one model; a multi-model endpoint loads when it is asked to."""
    model = front.models.get(ONLY)
    if model:
        await model.load()
        print("ready: the model is loaded and passed its self-test", flush=True)
    else:
        await front.server.started()
        front.started = True
        print(f"ready: models are loaded from {front.settings.models_dir}", flush=True)


async def _watch(front: Front) -> None:
    """Ask every model again and again whether it can answer; raises UserError when one of them or the server never will."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        await asyncio.gather(*(model.prove() for model in front.models.values()))
        gone = front.server.failure()
        if gone:
            raise UserError(gone)
        failure = None if front.settings.multi_model else front.models[ONLY].failure()
        if failure:
            raise failure


async def _until(stop: asyncio.Event, *work: Coroutine[None, None, None]) -> None:
    """Return when asked to stop; raises what any of the work raises."""
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
