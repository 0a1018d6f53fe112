"""A hundred training jobs at once: they wait for their places in order, end one by one, and leave nothing behind."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.conftest import Emulator, emulate, ended, training_request

PLACES = 2
COUNT = 100
# A program that runs until the file `gate` exists, and logs its beginning and its end.
PROGRAM = """#!/bin/sh
echo 1 >> $FOLDER/log
until [ -e $FOLDER/gate ]; do sleep 0.1; done
echo -1 >> $FOLDER/log
"""


@dataclass
class Queue:
    """An emulator that trains on two hosts at a time, and jobs that run until `open` is called."""

    emulator: Emulator
    folder: Path

    def __post_init__(self) -> None:
        self.sagemaker = self.emulator.client("sagemaker")

    def create(self, name: str, hosts: int = 1, **changes: Any) -> None:
        resources = {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1}
        environment = {"FOLDER": str(self.folder)}
        request = training_request(
            name, ResourceConfig=resources, Environment=environment, InputDataConfig=None, HyperParameters=None
        )
        self.sagemaker.create_training_job(**request | changes)

    def open(self) -> None:
        """Let the jobs' programs end."""
        (self.folder / "gate").touch()

    def phases(self) -> Counter[str]:
        """Return the number of jobs in each SecondaryStatus, over all pages of the list."""
        pages = self.sagemaker.get_paginator("list_training_jobs").paginate(PaginationConfig={"PageSize": 30})
        found = [summary for page in pages for summary in page["TrainingJobSummaries"]]
        assert len(found) == len({summary["TrainingJobName"] for summary in found})
        return Counter(summary["SecondaryStatus"] for summary in found)

    def running(self) -> list[int]:
        """Return the number of running programs after each beginning and each end of a program."""
        return list(itertools.accumulate(int(line) for line in (self.folder / "log").read_text().split()))

    def process(self, member: str) -> int:
        """Return a number from /proc/PID/status of the emulator, such as Threads, or VmRSS in kB."""
        lines = Path(f"/proc/{self.emulator.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(f"{member}:")))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "train").write_text(PROGRAM)
    (programs / "train").chmod(0o755)
    running = emulate(tmp_path / "data", "--jobs", str(PLACES), "--programs", str(programs))
    running.client("s3").create_bucket(Bucket="photos")
    yield Queue(running, tmp_path)
    if running.process.poll() is None:
        assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"
    assert "Traceback" not in running.output.read_text()


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_hundred_jobs_at_once_are_queued_and_all_end(queue: Queue) -> None:
    names = [f"job-{number:03}" for number in range(COUNT)]
    queue.phases()
    threads, memory = queue.process("Threads"), queue.process("VmRSS")
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(queue.create, names))
    until(lambda: queue.phases() == {"Training": PLACES, "Pending": COUNT - PLACES})
    # One thread for each job, and the threads of requests and logs.
    until(lambda: queue.process("Threads") < threads + COUNT + 30)

    found = queue.sagemaker.list_training_jobs(StatusEquals="InProgress", SortBy="Name", MaxResults=100)
    assert [summary["TrainingJobName"] for summary in found["TrainingJobSummaries"]] == names
    waiting = [
        entry["TrainingJobName"] for entry in found["TrainingJobSummaries"] if entry["SecondaryStatus"] == "Pending"
    ]
    stopped = waiting[::10]
    for name in stopped:
        queue.sagemaker.stop_training_job(TrainingJobName=name)
    for name in stopped:  # while the others still wait
        job = ended(queue.sagemaker, name)
        assert job["TrainingJobStatus"] == "Stopped" and "TrainingStartTime" not in job
        assert [entry["Status"] for entry in job["SecondaryStatusTransitions"]] == [
            *("Starting", "Pending", "Stopping", "Stopped")
        ]

    queue.open()
    until(lambda: queue.phases() == {"Completed": COUNT - len(stopped), "Stopped": len(stopped)})
    assert max(queue.running()) == PLACES and queue.running()[-1] == 0
    assert len(queue.running()) == 2 * (COUNT - len(stopped))
    until(lambda: queue.process("Threads") < threads + 20)  # the threads of connections that the client keeps open
    assert queue.process("VmRSS") < memory + 50_000


def test_jobs_get_their_places_in_order_so_that_a_job_of_many_hosts_is_not_overtaken(queue: Queue) -> None:
    for name, hosts, phases in (
        ("first", 1, {"Training": 1}),
        ("wide", 2, {"Training": 1, "Pending": 1}),
        ("last", 1, {"Training": 1, "Pending": 2}),  # one place is free
    ):
        queue.create(name, hosts)
        until(lambda phases=phases: queue.phases() == phases)  # type: ignore[misc]
    queue.open()
    jobs = [ended(queue.sagemaker, name) for name in ("first", "wide", "last")]
    starts = [job["TrainingStartTime"] for job in jobs]
    assert starts == sorted(starts)


def test_the_wait_of_a_queued_spot_job_counts(queue: Queue) -> None:
    for number in range(PLACES):
        queue.create(f"busy-{number}")
    until(lambda: queue.phases() == {"Training": PLACES})
    condition = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}
    queue.create("spot", EnableManagedSpotTraining=True, StoppingCondition=condition)
    job = ended(queue.sagemaker, "spot")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert "TrainingStartTime" not in job


def test_queued_jobs_end_with_the_emulator(queue: Queue) -> None:
    for number in range(PLACES + 3):
        queue.create(f"job-{number}")
    until(lambda: queue.phases() == {"Training": PLACES, "Pending": 3})
    assert queue.emulator.end() == 130
    again = emulate(queue.emulator.data)
    try:
        jobs = [again.client("sagemaker").describe_training_job(TrainingJobName=f"job-{number}") for number in range(5)]
    finally:
        again.end()
    assert {job["TrainingJobStatus"] for job in jobs} == {"Failed"}
    reasons = Counter(job["FailureReason"].rpartition(" the emulator was stopped ")[2] for job in jobs)
    assert reasons == {"while the job ran": PLACES, "before the job ran": 3}
