"""The serving program in its own process, and requests to a running server."""

import base64
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

SERVE = [sys.executable, "-P", "-m", "serve", "--host", "127.0.0.1"]


@contextlib.contextmanager
def started(model: Path, port: int, tmp_path: Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a server of `model` with these environment variables. Its log is log.txt in `tmp_path`."""
    command = [*SERVE, "--model-dir", str(model), "--port", str(port)]
    environment = os.environ | {"TMPDIR": str(tmp_path)} | variables
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            yield process
        except BaseException as error:
            error.add_note((tmp_path / "log.txt").read_text(errors="replace"))
            raise
        finally:
            process.kill()
            process.wait()


def wait_for(process: "subprocess.Popen[bytes]", url: str) -> list[int]:
    """Ask for /ping until its status is 200, for at most five minutes, and return all statuses."""
    codes: list[int] = []
    deadline = time.monotonic() + 300
    while codes[-1:] != [200]:
        assert process.poll() is None and time.monotonic() < deadline
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=2) as answer:
                codes.append(answer.status)
        except urllib.error.HTTPError as error:
            codes.append(error.code)
        except OSError:
            pass
        time.sleep(0.05)
    return codes


def workers(pid: int) -> list[psutil.Process]:
    """Return the workers of a server. The process that they are forked from is not one of them."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a process that has just ended
            if "model_service_worker" in " ".join(child.cmdline()) and not child.children():
                found.append(child)
    return found


def serve(model: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the serving program to its end, for at most five minutes, with these environment variables."""
    command = [*SERVE, "--model-dir", str(model), *arguments]
    environment = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)


def until(what: str, true: Callable[[], bool]) -> None:
    """Wait until a condition is true, for at most five minutes. If it stays false, the error names it by `what`."""
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def post(
    url: str, body: bytes, content_type: str = "image/jpeg", headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Send a body to /invocations and return the status and the JSON of the answer."""
    request = urllib.request.Request(
        f"{url}/invocations", data=body, headers={"Content-Type": content_type, **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def send(url: str, body: bytes, content_type: str) -> http.client.HTTPConnection:
    """Send a body to /invocations and return the connection once the server has begun this request.

    The server reads connections in the order in which they came. When it has answered a later connection, it has also read this one.
    """
    address = url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.request("POST", "/invocations", body, {"Content-Type": content_type})
    with contextlib.closing(http.client.HTTPConnection(address, timeout=120)) as later:
        later.request("GET", "/ping")
        later.getresponse().read()
    return connection


def instances(*photos: bytes) -> bytes:
    """Return the JSON body of a request with these photos."""
    return json.dumps({"instances": [{"b64": base64.b64encode(data).decode()} for data in photos]}).encode()


def ask(url: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], str]:
    """Send a body to /invocations and return the status, the headers and the text of the answer.

    A header's name has underscores instead of hyphens.
    """
    request = urllib.request.Request(
        f"{url}/invocations", data=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def get(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        text: str = answer.read().decode()
        return text


def metric(url: str, name: str) -> float:
    """Return the sum of the metrics whose names begin with `name`."""
    return sum(float(line.split()[-1]) for line in get(f"{url}/metrics").splitlines() if line.startswith(name))


def artifact_with(folder: Path, **files: str) -> Path:
    """Lay out an artifact of code; `_` in a name stands for `/`."""
    for name, text in files.items():
        path = folder / (name.replace("_", "/", 1) + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
