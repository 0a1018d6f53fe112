"""The life of a training job, from Starting to Completed, Failed or Stopped."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_test.sagemaker import jobs
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.faults import Fault
from local_test.sagemaker.jobs import Cut, Ending, Failed, stopping
from local_test.sagemaker.machine import Mount
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training import archives, warm_pool
from local_test.sagemaker.training.attempt import Attempt
from local_test.sagemaker.training.report import Report, Watch
from local_test.sagemaker.training.status import enter

STEP = 0.1  # seconds between two checks of a running job
# The ends of an attempt that its program did not cause.
STOPPED, RUNTIME, WAIT, INTERRUPTED, BROKEN = (
    "Stopped",
    "MaxRuntimeExceeded",
    "MaxWaitTimeExceeded",
    "Interrupted",
    "Broken",
)


class TrainingJob:
    """One job; `run` returns when the job has ended."""

    def __init__(self, cloud: Cloud, resource: Resource, watch: Watch | None = None) -> None:
        self.cloud = cloud
        self.resource = resource
        self.request = resource.request
        self.report = Report(cloud, resource, watch)
        self.work: Path = cloud.settings.work / resource.name
        condition = self.request["StoppingCondition"]
        # Seconds of all attempts together (API, StoppingCondition).
        self.runtime_left = float(condition["MaxRuntimeInSeconds"])
        self.wait_until = time.monotonic() + condition.get("MaxWaitTimeInSeconds", float("inf"))
        self.retries = (self.request.get("RetryStrategy") or {}).get("MaximumRetryAttempts", 0)
        self.spot = bool(self.request["EnableManagedSpotTraining"])

    def run(self) -> None:
        """Bring the job to its end, whatever happens."""
        try:
            jobs.bring_to_end(self._placed, self._end)
        finally:
            shutil.rmtree(self.work, ignore_errors=True)

    def _placed(self) -> Ending:
        hosts = self.request["ResourceConfig"]["InstanceCount"]
        with self.cloud.background.place(hosts, self._not_to_start, lambda: self._enter("Pending")) as got:
            if not got:
                raise self._not_started()
            return self._run(warm_pool.enter(self.cloud, self.resource))

    def _run(self, extra: tuple[Mount, ...]) -> Ending:
        """Make attempts until the program ends by itself, or the job's time is over."""
        number = 0
        while True:
            number += 1
            self._find_capacity()
            attempt = Attempt(cloud=self.cloud, resource=self.resource, work=self.work / str(number), extra=extra)
            try:
                cut = self._attempt(attempt)
                if cut not in (INTERRUPTED, BROKEN):
                    return self._finish(attempt, attempt.statuses(), cut)
                attempt.statuses()  # this call brings the checkpoints into S3
            finally:
                attempt.remove()
            if cut == INTERRUPTED:
                self._enter("Interrupted")
            elif self.retries:
                self.retries -= 1
            else:
                raise Failed(jobs.INTERNAL)
            self._enter("Starting")  # a job that is tried again also gets this status (API, RetryStrategy)

    def _find_capacity(self) -> None:
        """Wait while there are no instances; raises Failed if the job does not wait for them."""
        fault = self._struck("no-capacity")
        if fault and not self.spot:
            raise Failed(jobs.NO_CAPACITY)
        until = time.monotonic() + (fault.seconds if fault else 0)
        while fault and time.monotonic() < until:
            if self._given_up():
                raise Cut(STOPPED)
            if time.monotonic() > self.wait_until:
                raise Cut(WAIT)
            time.sleep(STEP)

    def _attempt(self, attempt: Attempt) -> str:
        """Run one attempt. Return the reason why it was cut off; empty if its program has ended by itself."""
        if self._struck("image-missing"):
            raise jobs.image_missing(self.request["AlgorithmSpecification"]["TrainingImage"])
        began = self.resource.state.get("TrainingStartTime") or time.time()
        self._enter("Downloading", TrainingStartTime=began)
        started = time.monotonic()
        attempt.prepare()
        if self._given_up():
            raise Cut(STOPPED)
        self._enter("Training")
        attempt.start(self.report)
        cut = ""
        while not cut and not attempt.ended(STEP):
            cut = self._cut(started)
        self.runtime_left -= time.monotonic() - started
        return cut

    def _cut(self, started: float) -> str:
        """Return the reason why a running attempt has to end now; empty if it goes on."""
        if self.cloud.background.ending.is_set():
            raise Failed("InternalServerError: the emulator was stopped while the job ran")
        now = time.monotonic()
        if stopping(self.resource):
            return STOPPED
        if now - started > self.runtime_left:
            return RUNTIME
        if now > self.wait_until:
            return WAIT
        if self.spot and self._struck("interrupt"):
            return INTERRUPTED
        return BROKEN if self._struck("internal-error") else ""

    def _struck(self, kind: str) -> Fault | None:
        """Return a fault that was ordered for this job or for its tuning job, because the tuning job names its jobs itself."""
        tuning = self.resource.state.get("TuningJobArn", "").rpartition("/")[2]
        return self.cloud.faults.take(kind, self.resource.name, *([tuning] if tuning else []))

    def _finish(self, attempt: Attempt, statuses: list[int], cut: str) -> Ending:
        """Upload the job's results, and return its end."""
        output = [host.output / "data" for host in attempt.hosts]
        if any(statuses) and not cut:
            self._upload("output", output)
            raise Failed(_reason(attempt, statuses))
        self._enter("Uploading")
        self._upload("model", [host.model for host in attempt.hosts])
        self._upload("output", output)
        return Ending(cut or "Completed")

    def _upload(self, kind: str, folders: list[Path]) -> None:
        if kind == "output" and not any(any(folder.iterdir()) for folder in folders):
            return
        try:
            archives.upload(self.request, self.cloud.storage, kind, folders, self.work)
        except Exception as error:
            where = archives.output_folder(self.request)
            raise Failed(f"ClientError: Artifact upload failed: {where}: {type(error).__name__}: {error}") from error
        if kind == "model":
            address = str(archives.model_address(self.request))
            self.cloud.store.update(self.resource, ModelArtifacts={"S3ModelArtifacts": address})

    def _given_up(self) -> bool:
        return stopping(self.resource) or self.cloud.background.ending.is_set()

    def _not_to_start(self) -> bool:
        """Return whether a job must stop waiting for a place. A spot job waits only for a limited time (API, MaxWaitTimeInSeconds)."""
        return self._given_up() or time.monotonic() > self.wait_until

    def _not_started(self) -> Exception:
        """Return the reason why a job that still waits for a place ends."""
        if stopping(self.resource):
            return Cut(STOPPED)
        return Failed(jobs.ENDED_BEFORE) if self.cloud.background.ending.is_set() else Cut(WAIT)

    def _enter(self, phase: str, **state: Any) -> None:
        """Enter a phase, unless a client has asked to stop: such a job is Stopping until its end."""
        if not stopping(self.resource):
            enter(self.cloud, self.resource, phase, **state)

    def _end(self, ending: Ending) -> None:
        """Enter the last phase; a job whose time was over is Stopped (API, SecondaryStatus)."""
        phase = ending.status
        state = jobs.final(jobs.TRAINING, replace(ending, status="Stopped") if phase in (RUNTIME, WAIT) else ending)
        if started := self.resource.state.get("TrainingStartTime"):
            seconds = max(1, round(state[jobs.TRAINING.end] - started))
            state |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        # The warm pool comes first, because a client that sees the job's end may at once start the next job, which uses the pool.
        warm_pool.leave(self.cloud, self.resource)
        enter(self.cloud, self.resource, phase, **state)


def _reason(attempt: Attempt, statuses: list[int]) -> str:
    """Return why a job failed: the text that the first failing host left in output/failure (C 1.1). A host whose program was
    stopped because another host had failed may have left no text.
    """
    failed = [(host.failure, status) for host, status in zip(attempt.hosts, statuses, strict=True) if status]
    text, status = next(((text, status) for text, status in failed if text), failed[0])
    return f"AlgorithmError: {text[: jobs.REASON - 50]}, exit code: {status}"
