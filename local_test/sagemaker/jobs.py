"""Shared parts of training, tuning and transform jobs: status, a Describe that waits for the end, Stop, and the end of a job."""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import ApiError, invalid
from local_test.sagemaker.store import Resource, State

ENDS = frozenset({"Completed", "Failed", "Stopped"})
# SDK v2's fit() describes a job 5 s after its creation, and then only after 30 s more. So Describe waits if the job's age is in
# this range, until the status changes or the range ends. For a younger job it answers at once, because fit() prints the status.
# For an older job it also answers at once, so that logs come in time.
YOUNG = (3.0, 15.0)  # seconds since the job's creation
REASON = 1024  # the most characters of FailureReason (C 1.1; API)
FULL = (errno.ENOSPC, errno.EDQUOT)
KILLED = "InternalServerError: the emulator was killed while the job ran"
ENDED_BEFORE = "InternalServerError: the emulator was stopped before the job ran"
# AWS's texts, from reports of users.
NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
INTERNAL = "InternalServerError: We encountered an internal error. Please try again."


@dataclass(frozen=True)
class Kind:
    """A kind of job, with its words in ARNs, in the names of actions and members, and in sentences."""

    word: str
    action: str
    spoken: str

    @property
    def name(self) -> str:
        return f"{self.action}Name"

    @property
    def status(self) -> str:
        return f"{self.action}Status"

    @property
    def end(self) -> str:
        return f"{self.action.removesuffix('Job')}EndTime"

    @property
    def stop(self) -> str:
        return f"Stop{self.action}"


TRAINING = Kind("training-job", "TrainingJob", "training job")
TUNING = Kind("hyper-parameter-tuning-job", "HyperParameterTuningJob", "tuning job")
TRANSFORM = Kind("transform-job", "TransformJob", "transform job")
KINDS = {kind.word: kind for kind in (TRAINING, TUNING, TRANSFORM)}


@dataclass(frozen=True)
class Ending:
    """The end of a job: its status, or the last phase of a training job, and the FailureReason if it failed."""

    status: str
    reason: str = ""


class Failed(Exception):
    """The job cannot go on; the text becomes its FailureReason."""


class Cut(Exception):
    """The job ends before its work is done; the text is its status, or its last phase."""


def image_missing(image: str) -> Failed:
    return Failed(f"ClientError: Cannot find the image {image}")


def status(job: Resource) -> str:
    return str(job.state[KINDS[job.kind].status])


def ended(job: Resource) -> bool:
    return status(job) in ENDS


def stopping(job: Resource) -> bool:
    """Return whether a client has asked to stop the job."""
    return status(job) == "Stopping"


def await_change(job: Resource, cloud: Cloud) -> None:
    """Delay Describe's answer for a running job until its status changes. The settings or the job's age limit the delay."""
    before, age = status(job), time.time() - float(job.state["CreationTime"])
    hold = cloud.settings.hold
    if hold is None:
        hold = YOUNG[1] - age if YOUNG[0] <= age else 0.0
    if hold > 0 and before not in ENDS:
        cloud.store.wait(lambda: status(job) != before, hold)


def ask_to_stop(job: Resource) -> None:
    """Check that a job can be stopped; raises ApiError, whose text clients look for, if it has ended."""
    if ended(job):
        spoken = KINDS[job.kind].spoken.replace("tuning", "hyperparameter tuning")
        raise invalid(f"The request was rejected because the {spoken} is in status {status(job)}.")


def final(kind: Kind, ending: Ending) -> State:
    """Return the members that a job gets at its end."""
    reason = {"FailureReason": ending.reason[:REASON]} if ending.reason else {}
    return {kind.status: ending.status, kind.end: time.time(), **reason}


def end(job: Resource, cloud: Cloud, ending: Ending) -> None:
    """End a job: set its last members, and print a line."""
    kind = KINDS[job.kind]
    cloud.store.update(job, **final(kind, ending))
    cloud.say(f"{kind.spoken} {job.name}: {ending.status}{': ' if ending.reason else ''}{ending.reason}")


def end_left(cloud: Cloud, kind: Kind, fail: Callable[[Resource, State], None]) -> list[str]:
    """Mark the jobs that ran when an emulator was killed as failed, and return a line for each."""
    found = [job for job in cloud.store.all(kind.word) if not ended(job)]
    for job in found:
        fail(job, final(kind, Ending("Failed", KILLED)))
    return [f"{kind.spoken} {job.name} was left by an emulator that was killed; it has failed" for job in found]


def bring_to_end(work: Callable[[], Ending], end: Callable[[Ending], None]) -> None:
    """Do a job's work, and end the job by the Ending that the work returns, or by the exception that it raises."""
    try:
        ending = work()
    except Cut as cut:
        ending = Ending(str(cut))
    except Failed as failed:
        ending = Ending("Failed", str(failed))
    except ApiError as error:
        ending = Ending("Failed", f"ClientError: {error.message}")
    except OSError as error:
        if error.errno not in FULL:
            end(Ending("Failed", f"InternalServerError: {error}"))
            raise
        ending = Ending("Failed", f"InternalServerError: the disk of the data folder is full: {error.strerror}")
    except Exception as error:
        end(Ending("Failed", f"InternalServerError: {type(error).__name__}: {error}"))
        raise
    end(ending)
