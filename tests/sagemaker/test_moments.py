"""Parts of the emulator at their worst moments: two threads at once, a kill between two steps, an object that is half made."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_test.sagemaker.machine.images import Images
from local_test.sagemaker.machine.process import ProcessMachine
from tests.conftest import ROOT
from tests.sagemaker.commands import PROGRAMS
from tests.sagemaker.conftest import PYTHON, Emulator, order
from tests.sagemaker.hosting import alive
from tests.sagemaker.training import LOGS, create, showing
from tests.server import until

IMAGES = Images(ROOT / "images.json")


def run(code: str, *arguments: str | Path, python: Path = PYTHON) -> "subprocess.CompletedProcess[str]":
    command = [str(python), "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def folders(folder: Path) -> tuple[Path, Path]:
    """Make the folders of the programs and of the records of running programs."""
    programs, work = folder / "programs", folder / "work"
    programs.mkdir()
    work.mkdir()
    return programs, work


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_two_containers_that_begin_a_log_at_the_same_time_both_write_to_it() -> None:
    code = """
import threading, time
import moto.logs.models as models
from local_test.sagemaker.logs import Logs

known = models.LogGroup.__init__
def slow(self, *arguments, **named):
    time.sleep(0.5)
    known(self, *arguments, **named)
models.LogGroup.__init__ = slow

def write(name):
    Logs("us-east-1").stream("group", name).write(["a line"])

threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert [tail.lines for tail in Logs("us-east-1").tail("group", "", 9)] == [["a line"]] * 2
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_a_log_can_be_listed_while_another_container_begins_one() -> None:
    code = """
from local_test.sagemaker.logs import Logs, logs_backends

logs = Logs("us-east-1")
for name in ("one", "two"):
    logs.stream("group", name)
[region] = logs_backends["123456789012"].values()
for number, _ in enumerate(region.groups["group"].streams.items()):  # as moto does for DescribeLogStreams
    logs.stream("group", f"next-{number}")
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_an_object_has_its_type_when_it_can_be_seen(tmp_path: Path) -> None:
    code = """
import sys, threading, time
from pathlib import Path
from moto.s3.models import FakeKey, s3_backends
from local_test.sagemaker.settings import ACCOUNT
from local_test.sagemaker.storage import S3Uri, Storage

storage, source = Storage(Path(sys.argv[1]) / "s3"), Path(sys.argv[1]) / "source"
source.write_text("{}")
s3_backends[ACCOUNT]["aws"].create_bucket("bucket", "us-east-1")
known, stored = FakeKey.set_metadata, threading.Event()
def slow(self, *arguments, **named):
    stored.set()
    time.sleep(0.5)
    known(self, *arguments, **named)
FakeKey.set_metadata = slow
thread = threading.Thread(target=storage.put, args=(S3Uri("bucket", "key"), source, "application/json"))
thread.start()
assert stored.wait(60)
row = storage.index.latest("bucket", "key")
assert row is None or row.more["metadata"]["content-type"] == "application/json", row
thread.join()
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_log_of_an_instance_is_complete_when_the_instance_has_ended(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from moto.logs.models import LogStream
from local_test.sagemaker.background import Background
from local_test.sagemaker.endpoints.instance import Instance
from local_test.sagemaker.faults import Faults
from local_test.sagemaker.logs import Logs
from local_test.sagemaker.machine import Container
from local_test.sagemaker.machine.images import Images
from local_test.sagemaker.machine.process import ProcessMachine

known = LogStream.put_log_events
def slow(self, events):
    time.sleep(0.01)
    return known(self, events)
LogStream.put_log_events = slow
machine, logs = ProcessMachine(Path(sys.argv[1]), Images(Path("images.json")), Path(sys.argv[2])), Logs("us-east-1")
cloud = SimpleNamespace(machine=machine, background=Background(1), faults=Faults())
container = Container(name="ends", image="byoc-classifier-serve", command=("serve",), port=8080)
instance = Instance(cloud, "endpoint", container, logs.stream("group", "stream"), 60)
instance.start()
instance.wait()
[tail] = logs.tail("group", "", 999)
assert instance.failure and tail.lines == ["a line"] * 50 * 3, len(tail.lines)  # it is started three times
"""
    programs, work = folders(tmp_path)
    program(programs / "serve", "for n in $(seq 50); do echo a line; done; exit 1")
    done = run(code, programs, work)
    assert done.returncode == 0, done.stderr


def test_an_instance_that_misses_one_ping_goes_on_to_get_invocations(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from local_test.sagemaker.background import Background
from local_test.sagemaker.endpoints import instance as module
from local_test.sagemaker.faults import Faults
from local_test.sagemaker.logs import Logs
from local_test.sagemaker.machine import Container
from local_test.sagemaker.machine.images import Images
from local_test.sagemaker.machine.process import ProcessMachine

module.BETWEEN_PINGS = 1.0
machine, logs = ProcessMachine(Path(sys.argv[1]), Images(Path("images.json")), Path(sys.argv[2])), Logs("us-east-1")
cloud = SimpleNamespace(machine=machine, background=Background(1), faults=Faults())
serves = {"image": "byoc-classifier-serve", "command": ("serve",), "port": 8080, "environment": {"PING": "miss"}}
instance = module.Instance(cloud, "endpoint", Container(name="misses", **serves), logs.stream("group", "stream"), 300)
instance.start()
while not instance.ready:
    assert not instance.failure
    time.sleep(0.01)
missed = []
while "ping 4" not in logs.tail("group", "", 999)[0].lines:
    if not instance.ready:
        missed.append(time.monotonic())
    time.sleep(0.01)
instance.end()
instance.wait()
assert not missed, missed
"""
    _, work = folders(tmp_path)
    done = run(code, PROGRAMS, work)
    assert done.returncode == 0, done.stderr


def test_the_next_emulator_ends_a_program_even_if_the_first_was_killed_while_it_started_it(tmp_path: Path) -> None:
    programs, work = folders(tmp_path)
    number = tmp_path / "number"
    program(programs / "train", f"echo $$ > {number}; exec sleep 600")
    code = """
import os, signal, sys
from pathlib import Path
from local_test.sagemaker.machine import Container, process
from local_test.sagemaker.machine.images import Images

# This is asked for when the program has just started.
process.started = lambda pid: os.kill(os.getpid(), signal.SIGKILL)
machine = process.ProcessMachine(Path(sys.argv[1]), Images(Path("images.json")), Path(sys.argv[2]))
machine.start(Container(name="left", image="byoc-classifier-train", command=("train",)))
"""
    assert run(code, programs, work, python=Path(sys.executable)).returncode == -9
    until("the program does not start", lambda: number.exists() and number.read_text().endswith("\n"))
    pid = int(number.read_text())
    assert alive(pid)
    assert ProcessMachine(programs, IMAGES, work).end_leftovers() == ["left"]
    until("the program goes on", lambda: not alive(pid))
    assert not list(work.iterdir())


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    yield from showing(tmp_path_factory.mktemp("shown"))


def test_each_attempt_of_a_job_has_its_own_log_stream_even_within_one_second(shown: Emulator) -> None:
    order(shown, kind="internal-error", target="again", times=4)
    client = create(shown, "again", do="sleep", settings={"seconds": "600"}, RetryStrategy={"MaximumRetryAttempts": 4})
    logs = shown.client("logs")

    def streams() -> int:
        try:
            found = logs.describe_log_streams(logGroupName=LOGS, logStreamNamePrefix="again/")["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return 0
        return len(found)

    until("not five streams", lambda: streams() == 5)
    client.stop_training_job(TrainingJobName="again")
