"""Runs the serving program in its own process: starts it, waits for /ping, and stops it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from classifier.errors import ConfigError, UserError
from launch.child import ends_with_us
from launch.ports import free_port

START_SECONDS = 300
STOP_SECONDS = 30
LINE_SECONDS = 2  # seconds between two lines that report that the server is still starting


@contextlib.contextmanager
def serving(model: Path, port: int, log: Path) -> Iterator[str]:
    """Serve `model` on the loopback address, yield the URL once /ping answers 200, and stop the server afterwards."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        process = subprocess.Popen(
            ends_with_us(_command(model, port)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, url, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the processes that the server started too
            process.wait()


def check_port(port: int) -> None:
    """Raise ConfigError if the server cannot listen on this port. 0 means any free port."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port is {port}; it must lie between 0 and 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used: {error.strerror}; name another with --port") from error


def command(options: Namespace) -> int:
    """`byoc serve`: become the serving program, so that signals reach that program."""
    argv = _command(options.model, options.port)
    os.execv(argv[0], argv)


def _command(model: Path, port: int) -> list[str]:
    return [sys.executable, "-P", "-m", "serve", "--model-dir", str(model), "--host", "127.0.0.1", "--port", str(port)]


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    started = time.monotonic()
    next_line = LINE_SECONDS
    while (waited := time.monotonic() - started) < START_SECONDS:
        if waited >= next_line:
            print(f"the server loads the model: {waited:.0f} s", file=sys.stderr, flush=True)
            next_line += LINE_SECONDS
        if process.poll() is not None:
            lines = log.read_text().strip().splitlines()
            raise UserError(
                lines[-1] if lines else f"the server ended with status {process.poll()} and without a message"
            )
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/ping", timeout=2):
            return
        time.sleep(0.1)
    raise UserError(f"the server did not become ready within {START_SECONDS} s; {log} says more")
