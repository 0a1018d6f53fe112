"""Starts a local SageMaker for the benchmarks, with small programs in place of the images, and sends requests to it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import psutil

BYOC = str(Path(sys.executable).parent / "byoc")
START_SECONDS = 300
ROLE = "arn:aws:iam::123456789012:role/service-role/local"
# Variables that replace those of a real account, and keep client libraries from looking for keys elsewhere.
FAKE = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
FAKE |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "local")
FAKE |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
# The emulator does not check the signature. It reads the name of the service from this header.
S3 = {"Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, Signature=0"}
TRAIN = """
import os, pathlib, time
time.sleep(5)
(pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model" / "model").write_text("model")
print(f"ended={time.time()}", flush=True)
"""
# Answers at once, like `serve`. The answer holds the port, so that a benchmark can also send requests to the container directly.
SERVE = """
import http.server, json, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
body = json.dumps({"predictions": [{"label": "beagle", "probability": 0.9}], "port": port})
answer = f"HTTP/1.1 200 OK\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}".encode()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.wfile.write(answer)

    do_POST = do_GET

http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Emulator:
    """A running `byoc emulate`: its folder, process id and address, and the seconds from its start to its first answer."""

    folder: Path
    pid: int
    url: str
    seconds: float

    def run(self, *command: object) -> str:
        """Run a program that sends its requests to the emulator, and return its output. Raises CalledProcessError if the program fails."""
        words, environment = [*map(str, command)], os.environ | {"AWS_ENDPOINT_URL": self.url}
        return subprocess.check_output(words, cwd=self.folder, env=environment, text=True)

    def client(self, service: str) -> Any:
        """Return boto3's client of a service."""
        return boto3.client(service, endpoint_url=self.url)

    def memory(self) -> float:
        """Return the resident memory of the process in MB."""
        return psutil.Process(self.pid).memory_info().rss / 1e6

    def s3(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request to S3 over plain HTTP and return the answer's body."""
        return ask(f"{self.url}{path}", body, S3, method)


@contextlib.contextmanager
def emulate(*options: object) -> Iterator[Emulator]:
    """Run an emulator with a bucket `bench` in a new folder. Its images are the programs of this module, unless `options` name others."""
    with TemporaryDirectory(prefix="bench-emulator-") as name:
        folder, start = Path(name), time.perf_counter()
        log, address = folder / "log", folder / "data" / "address"
        with log.open("w") as output:
            process = subprocess.Popen(emulating(folder, *options), stdout=output, stderr=output)
        try:
            while not (address.exists() and (url := address.read_text().strip())):
                if process.poll() is not None or time.perf_counter() - start > START_SECONDS:
                    raise RuntimeError(f"byoc emulate did not start: {log.read_text()[-1000:]}")
                time.sleep(0.01)
            ask(f"{url}/bench", None, S3, "PUT")
            yield Emulator(folder, process.pid, url, seconds=time.perf_counter() - start)
        finally:
            process.terminate()
            process.wait()


def emulating(folder: Path, *options: object) -> list[str]:
    """Write the small programs into `folder`. Return the command that starts an emulator with these programs. Its data are in `folder`."""
    programs = folder / "programs"
    programs.mkdir()
    for name, text in (("train", TRAIN), ("serve", SERVE)):
        (programs / name).write_text(f"#!{sys.executable}\n{text}")
        (programs / name).chmod(0o700)
    command = [BYOC, "emulate", "--run", "process", "--data", folder / "data", "--programs", programs, *options]
    return [*map(str, command)]


def make_endpoint(emulator: Emulator) -> dict[str, Any]:
    """Create the endpoint `bench` and return its first answer."""
    archive = shutil.make_archive(str(emulator.folder / "model"), "gztar", emulator.folder / "programs")
    emulator.s3("PUT", "/bench/model.tar.gz", Path(archive).read_bytes())
    client = emulator.client("sagemaker")
    container = {"Image": "byoc-classifier-serve", "ModelDataUrl": "s3://bench/model.tar.gz"}
    client.create_model(ModelName="bench", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "all", "ModelName": "bench", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName="bench", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="bench", EndpointConfigName="bench")
    client.get_waiter("endpoint_in_service").wait(EndpointName="bench", WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    answer: dict[str, Any] = json.loads(ask(f"{emulator.url}/endpoints/bench/invocations", b"photo", {}))
    return answer


def ask(url: str, body: bytes | None, headers: Mapping[str, str], method: str | None = None) -> bytes:
    """Send one request on a new connection and return the answer's body. Raises HTTPError if the status is an error."""
    request = urllib.request.Request(url, body, dict(headers), method=method)
    with urllib.request.urlopen(request, timeout=600) as answer:
        found: bytes = answer.read()
    return found


def forget_account() -> None:
    """Replace the variables of a real account in this process's environment with fake ones."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= FAKE
