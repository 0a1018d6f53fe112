"""Training that is stopped, and later continued: the time limit after SIGTERM, checkpoints, spot restarts."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local_test.contract.clause import API, DOCKERFILE, GUIDE, clause
from local_test.contract.job import Job, copy, model_files
from local_test.contract.platforms import Platform, StartedJob

Seen = Callable[[str], None]
LIMIT = 120  # seconds between SIGTERM and SIGKILL
EPOCH = re.compile(r"\bepoch\W{1,3}(\d+)", re.IGNORECASE)


class Stopped:
    """A long job that got SIGTERM in the middle of an epoch."""

    def __init__(self, platform: Platform, job: Job) -> None:
        self.job = job
        with platform.start(job) as started:
            self.epoch = _first_epoch(started)
            self.end = started.stop(LIMIT)
            self.last_line = started.last_line()


def _first_epoch(job: StartedJob) -> int | None:
    """Wait for the first line that names an epoch and return the epoch's number, or None if the job ended before that."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        running = job.running()  # asked before the log is read: if the job has ended by then, the log is complete
        if found := EPOCH.search(job.logs()):
            return int(found[1])
        if not running:
            return None
        time.sleep(0.2)
    return None


@pytest.fixture(scope="module")
def stopped(
    platform: Platform,
    channels: dict[str, Path],
    hyperparameters: dict[str, str],
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Stopped:
    long = hyperparameters | dict(json.loads(pytestconfig.getoption("--long")))
    return Stopped(platform, Job(tmp_path_factory.mktemp("stopped"), channels, long, checkpoints=True))


@clause("SIGTERM ends the job in order before SIGKILL follows after 120 s", DOCKERFILE)
def test_sigterm_ends_the_job(stopped: Stopped, seen: Seen) -> None:
    assert stopped.epoch is not None, f"the job ended before its first epoch: {stopped.last_line}"
    seen(f"{stopped.end.how} after {stopped.end.seconds:.1f} s")
    assert not stopped.end.killed, "SIGKILL ended it"


@clause("after SIGTERM the trained model is in /opt/ml/model, which the platform still uploads", DOCKERFILE)
def test_a_stopped_job_leaves_a_model(stopped: Stopped, seen: Seen) -> None:
    files = model_files(stopped.job.model)
    seen(f"{len(files)} model files")
    assert files, "/opt/ml/model is empty"


@clause(
    "checkpoints are written to /opt/ml/checkpoints if the platform made this folder", API.format("CheckpointConfig")
)
def test_checkpoints_are_written(stopped: Stopped, seen: Seen) -> None:
    files = model_files(stopped.job.checkpoint_folder)
    seen(f"{len(files)} files")
    assert files, "/opt/ml/checkpoints is empty"


@clause(
    "a job that starts again with the same checkpoints continues where it stopped, as with managed spot training",
    GUIDE.format("model-managed-spot-training"),
)
def test_a_restarted_job_goes_on(platform: Platform, stopped: Stopped, tmp_path: Path, seen: Seen) -> None:
    assert model_files(stopped.job.checkpoint_folder), "there are no checkpoints to continue from"
    again = Job(tmp_path, stopped.job.channels, stopped.job.hyperparameters, checkpoints=True)
    copy(stopped.job.checkpoint_folder, again.checkpoint_folder)
    with platform.start(again) as started:
        epoch = _first_epoch(started)
        started.stop(1)
    seen(f"stopped after epoch {stopped.epoch} or later, goes on with epoch {epoch}")
    assert epoch is not None and epoch > 1, "it began again"
