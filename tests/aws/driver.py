"""Runs `byoc` as a person would, with a local SageMaker whose training program computes nothing."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launch.cli import main
from tests.aws.standin import Way, way
from tests.sagemaker.conftest import KEYS, NO_FILES, ROLE, TRAIN_IMAGE, Emulator, emulate

PROGRAMS = Path(__file__).parent / "programs"
SERVED = Path(__file__).parent / "served"  # the image whose serving program answers like ours
BYOC = Path(sys.executable).parent / "byoc"
BUCKET = "dogs"
SETTINGS = f"""\
region = "us-east-1"
role = "{ROLE}"
bucket = "{BUCKET}"

[images]
train = "{TRAIN_IMAGE}"

[instances]
train = ["ml.m5.large"]

[limits]
max_run = 600
"""
# A price file like a user's: the prices of the types in these tests, as they were at AWS in 2026.
PRICES = {
    "region": "us-east-1",
    "currency": "USD",
    "read": f"{datetime.now(UTC):%Y-%m-%d}",
    "hours": {
        "training": {"ml.m5.large": 0.115, "ml.g4dn.xlarge": 0.7364},
        "hosting": {"ml.m5.large": 0.115},
        "transform": {"ml.m5.large": 0.115},
    },
}
TRAIN = ["train", "--on", "sagemaker", "--data", f"s3://{BUCKET}/photos/", "--sender", "boto3", "--yes"]
TUNE = ["tune", "--on", "sagemaker", "--data", f"s3://{BUCKET}/photos/", "--sender", "boto3", "--yes"]


@dataclass(frozen=True)
class Done:
    """The output of byoc."""

    stdout: str
    stderr: str


@dataclass
class Driver:
    """A user's working folder, with an emulator; `run` runs a command that the user types."""

    emulator: Emulator
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "byoc.toml").write_text(SETTINGS)
        (self.folder / "prices-us-east-1.json").write_text(json.dumps(PRICES))

    @property
    def variables(self) -> dict[str, str]:
        here = {
            "AWS_ENDPOINT_URL": self.emulator.url,
            # No server answers at this address, so quotas are not known. A test that needs quotas sets the address of a server.
            "AWS_ENDPOINT_URL_SERVICE_QUOTAS": "http://127.0.0.1:9",
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder / ".cache"),
        }
        return {**os.environ, **KEYS, **NO_FILES, **here, **self.environment}

    def run(self, *arguments: str, status: int = 0) -> "Done":
        """Run byoc inside this process, which has already imported it. Fail the test if the exit status is not `status`."""
        output, errors = io.StringIO(), io.StringIO()
        with self._here(), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            found = main(list(arguments))
        done = Done(output.getvalue(), errors.getvalue())
        assert found == status, (found, done)
        return done

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """Run the block in the user's folder, with the user's variables and without a terminal."""
        before, folder, typed = dict(os.environ), Path.cwd(), sys.stdin
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        os.environ.update(self.variables)
        os.chdir(self.folder)
        sys.stdin = io.StringIO()
        try:
            yield
        finally:
            sys.stdin = typed
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def json(self, *arguments: str, status: int = 0) -> Any:
        """Run byoc with --json and return the parsed output."""
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """Run byoc during the block; both of its outputs are one stream."""
        process = subprocess.Popen(
            [BYOC, *arguments],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    @contextlib.contextmanager
    def through(self, holds: str = "") -> Iterator[Way]:
        """Let the user reach SageMaker only through a proxy that can delay the answers of an action, or break connections."""
        with way(self.emulator.url, holds) as found:
            self.environment["AWS_ENDPOINT_URL_SAGEMAKER"] = found.url
            try:
                yield found
            finally:
                del self.environment["AWS_ENDPOINT_URL_SAGEMAKER"]

    def fault(self, kind: str, target: str, times: int = 1, seconds: float = 0) -> None:
        """Order a fault, as `byoc emulate fault` does."""
        content = {"kind": kind, "target": target, "times": times, "seconds": seconds}
        self._local("POST", json.dumps(content).encode())

    def clear_faults(self) -> None:
        self._local("DELETE", None)

    def describe(self, name: str, kind: str = "training_job", parameter: str = "TrainingJobName") -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.emulator.client("sagemaker"), f"describe_{kind}")(**{parameter: name})
        return answer

    def _local(self, method: str, body: bytes | None) -> None:
        request = urllib.request.Request(f"{self.emulator.url}/_local/faults", body, method=method)
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()


@contextlib.contextmanager
def beside(folder: Path, *options: str, programs: Path = PROGRAMS) -> Iterator[Driver]:
    """Run an emulator during the block; its bucket holds files that only pretend to be photos."""
    emulator = emulate(folder / "data", "--jobs", "8", "--programs", str(programs), *options)
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for split in ("train", "validation"):
        s3.put_object(Bucket=BUCKET, Key=f"photos/{split}/cat/1.jpg", Body=b"a photo")
    driver = Driver(emulator, folder / "work")
    try:
        yield driver
    finally:
        status = emulator.end()
    assert status == 130, emulator.output.read_text()
    assert not list((emulator.data / "work").iterdir()), "a finished program has left files"


@contextlib.contextmanager
def with_real_programs(folder: Path, place: str = "process") -> Iterator[Driver]:
    """Run an emulator with the real training and serving programs and an empty bucket, during the block."""
    emulator = emulate(folder / "data", "--jobs", "2", "--run", place)
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    driver = Driver(emulator, folder / "work")
    toml = driver.folder / "byoc.toml"
    toml.write_text(toml.read_text().replace("[images]", '[images]\nserve = "byoc-classifier-serve:cpu"'))
    try:
        yield driver
    finally:
        status = emulator.end()
    assert status == 130, emulator.output.read_text()


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """Return a process's output up to the line that contains a text. Fail the test if the process ends before that line."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"{text!r} never came: {read}")


def wait_for(seen: Any, seconds: float = 300) -> None:
    """Wait until a function returns something true."""
    until = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < until, "the awaited condition never became true"
        time.sleep(0.05)
