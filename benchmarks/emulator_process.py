"""An emulator for benchmarks.emulator, the two small programs that it runs, and plain HTTP to it."""

import contextlib
import http.client
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 60
ROLE = "arn:aws:iam::123456789012:role/service-role/local"
FAKE = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
# What a client library might read instead of the fake keys.
FAKE |= {"AWS_EC2_METADATA_DISABLED": "true"} | dict.fromkeys(
    ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull
)
# The emulator checks no signature; it reads the service's name here.
S3 = {"Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, Signature=0"}
LIST = {"X-Amz-Target": "SageMaker.ListTrainingJobs", "Content-Type": "application/x-amz-json-1.1"}
TRAIN = """
import os, pathlib, time
time.sleep(5)
(pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model" / "model").write_text("model")
print(f"ended={time.time()}", flush=True)
"""
# Answers at once, with its port, so that it can be asked directly too.
SERVE = """
import http.server, sys
port = int(sys.argv[sys.argv.index("--port") + 1])

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(str(port))))
        self.end_headers()
        self.wfile.write(str(port).encode())

    do_POST = do_GET

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Figure:
    """One measured value; `target` is what it should reach."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = True

    def __str__(self) -> str:
        aim = "" if self.target is None else f"  ({'at most' if self.at_most else 'at least'} {self.target:g})"
        return f"{self.name:62} {self.value:10.2f} {self.unit}{aim}"


def forget_account() -> None:
    """Take a real account's variables out of this process's environment, and put the fake keys in."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= FAKE


@dataclass(frozen=True)
class Emulator:
    """A running `byoc emulate`."""

    pid: int
    port: int
    seconds: float  # from its start to its first answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service, endpoint_url=self.url)

    def memory(self, member: str = "VmRSS") -> float:
        """Return the process's memory in MB: VmRSS now, VmHWM the most so far."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{member}:")) / 1000

    def s3(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send one request to S3 over plain HTTP and return the answer's body."""
        return ask(self.port, method, path, body, S3)


@contextlib.contextmanager
def emulate(folder: Path, *options: str) -> Iterator[Emulator]:
    """Run an emulator on a data folder, with the small programs of this module as its images' programs."""
    data, start = folder / "data", time.perf_counter()
    command = emulating(folder, small_programs(folder), *options)
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        port = _port(process, data / "address", folder / "log", start)
        ask(port, "POST", "/", b"{}", LIST)
        yield Emulator(process.pid, port, time.perf_counter() - start)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def small_programs(folder: Path) -> Path:
    """Return the folder of the small programs, written below `folder`."""
    programs = folder / "programs"
    if not programs.exists():
        programs.mkdir(parents=True)
        for name, text in (("train", TRAIN), ("serve", SERVE)):
            (programs / name).write_text(f"#!{sys.executable}\n{text}")
            (programs / name).chmod(stat.S_IRWXU)
    return programs


def emulating(folder: Path, programs: Path, *options: str) -> list[str]:
    """Return the command line of an emulator on the data folder below `folder`."""
    byoc = str(Path(sys.executable).parent / "byoc")
    data = str(folder / "data")
    return [byoc, "emulate", "--run", "process", "--data", data, "--programs", str(programs), *options]


def ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Send one request on a connection of its own and return the answer's body; raises RuntimeError for a refusal."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    if response.status >= 300:
        raise RuntimeError(f"{method} {path} was answered with {response.status}: {answer[:300]!r}")
    return answer


def _port(process: "subprocess.Popen[bytes]", address: Path, log: Path, start: float) -> int:
    while not (address.exists() and (text := address.read_text())):
        if process.poll() is not None or time.perf_counter() - start > START_SECONDS:
            raise RuntimeError(f"byoc emulate did not start: {log.read_text()[-1000:]}")
        time.sleep(0.01)
    return int(text.rpartition(":")[2])
