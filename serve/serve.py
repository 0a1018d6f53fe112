"""Serve one model: check the artifact -> start the model server -> open the port -> serve until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import contextlib
import errno
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from aiohttp import web

from classifier import artifact
from classifier.errors import ConfigError, UserError
from serve.front import MAX_BODY, make_app, prove
from serve.model_server import ModelServer

TIMEOUT = 60  # seconds for one prediction, the platform's limit
WATCH_SECONDS = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped and return the exit status; a model that cannot be served ends it with one sentence."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    parser = argparse.ArgumentParser(
        prog="python -m serve", description="Serve a model artifact on /ping and /invocations."
    )
    parser.add_argument("--model-dir", type=Path, default=base / "model", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")), help="default: %(default)s"
    )
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: one a core, %(default)s"
    )
    parser.add_argument("--top-k", type=int, default=5, help="labels in an answer (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        contents = artifact.check(options.model_dir)
        if options.workers < 1 or options.top_k < 1:
            raise ConfigError(f"workers {options.workers} and top-k {options.top_k} must be at least 1")
        print(f"{contents.spec.backbone}, {len(contents.spec.classes)} classes, from {options.model_dir}", flush=True)
        asyncio.run(_serve(options))
    except UserError as error:
        print(f"serving failed: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = Path(tempfile.mkdtemp(prefix="byoc-serve-"))
    threads = max(1, len(os.sched_getaffinity(0)) // options.workers)
    try:
        server = ModelServer(
            folder,
            options.model_dir.resolve(),
            workers=options.workers,
            threads=threads,
            top_k=options.top_k,
            timeout=TIMEOUT,
            max_body=MAX_BODY,
        )
        try:
            async with _listening(server, options) as app:
                await _watch(server, app, stop)
        finally:
            await asyncio.to_thread(server.stop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def _listening(server: ModelServer, options: argparse.Namespace) -> AsyncIterator[web.Application]:
    app = make_app(server, timeout=TIMEOUT)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=20)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, options.host, options.port).start()
        except (OSError, OverflowError) as error:
            taken = "is in use" if getattr(error, "errno", None) == errno.EADDRINUSE else f"cannot be opened ({error})"
            raise ConfigError(f"port {options.port} on {options.host} {taken}; choose another with --port") from error
        yield app
    finally:
        await runner.cleanup()


async def _watch(server: ModelServer, app: web.Application, stop: asyncio.Event) -> None:
    announced = False
    while not stop.is_set():
        failure = server.failure()
        if failure:
            raise UserError(failure)
        if await prove(app) and not announced:
            announced = True
            print("ready: the model is loaded and passed its self-test", flush=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), WATCH_SECONDS)
