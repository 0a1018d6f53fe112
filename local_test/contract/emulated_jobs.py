"""Runs a job of the suite as a training job of a local SageMaker, and downloads its results into the job's own folders."""

import re
import time
from collections.abc import Sequence
from typing import Any, Self

from local_test.contract.conditions import Conditions, Stop
from local_test.contract.emulated import INSTANCE, LOOK, ROLE, Api, address, cannot_be_asked, check, gone, last, name
from local_test.contract.job import PATIENCE, Ended, Job

GROUP = "/aws/sagemaker/TrainingJobs"
GRACE = 120  # seconds between SIGTERM and SIGKILL
WAY = 30  # seconds for the platform's work before and after the container runs
ENDS = ("Completed", "Failed", "Stopped")
REASON = re.compile(r"AlgorithmError: (?P<text>.*?)(?:, exit code: (?P<status>\d+))?", re.DOTALL)


class EmulatedJob:
    """A training job of one host or several. As a context manager it is stopped at the end, and its files are downloaded."""

    def __init__(self, api: Api, image: str, jobs: Sequence[Job], conditions: Conditions) -> None:
        if any(job.resources or job.inputs for job in jobs):
            cannot_be_asked("configuration files that the platform does not write")
        check(conditions)
        self._api = api
        self._jobs = jobs
        self._name = name()
        self._brought = False
        job = jobs[0]
        for channel, folder in job.channels.items():
            api.put_folder(folder, f"{self._name}/{channel}/")
        if job.checkpoints:
            api.put_folder(job.checkpoint_folder, self._checkpoints)
        api.sagemaker.create_training_job(**self._request(image, job, conditions))

    @property
    def _checkpoints(self) -> str:
        return f"{self._name}/checkpoints/"

    def _request(self, image: str, job: Job, conditions: Conditions) -> dict[str, Any]:
        more = {"CheckpointConfig": {"S3Uri": address(self._checkpoints)}} if job.checkpoints else {}
        return more | {
            "TrainingJobName": self._name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {
                "TrainingImage": conditions.image or image,
                "TrainingInputMode": job.input_mode,
            },
            "HyperParameters": dict(job.hyperparameters),
            "InputDataConfig": [self._channel(channel) for channel in job.channels],
            "OutputDataConfig": {"S3OutputPath": address("jobs")},
            "ResourceConfig": {**INSTANCE, "InstanceCount": len(self._jobs), "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "EnableNetworkIsolation": conditions.isolated,
            "Environment": dict(conditions.environment),
        }

    def _channel(self, channel: str) -> dict[str, Any]:
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": address(f"{self._name}/{channel}/"),
            "S3DataDistributionType": "FullyReplicated",
        }
        return {
            "ChannelName": channel,
            "ContentType": "application/x-image",
            "DataSource": {"S3DataSource": source},
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.running():
            self.stop(GRACE)
        self._bring_back()

    def logs(self) -> str:
        return self._log("")

    def _log(self, host: str) -> str:
        return "\n".join(self._api.lines(GROUP, f"{self._name}/{host}"))

    def running(self) -> bool:
        return self._described()["TrainingJobStatus"] not in ENDS

    def last_line(self) -> str:
        return last(self.logs().splitlines())

    def stop(self, seconds: int) -> Stop:
        """Stop the job: the platform sends SIGTERM, and SIGKILL 120 s later, regardless of `seconds`."""
        begun = time.monotonic()
        try:
            self._api.sagemaker.stop_training_job(TrainingJobName=self._name)
        except self._api.sagemaker.exceptions.ClientError as error:
            if not gone(error):  # the job has already ended by itself
                raise
        ended = self._wait(GRACE + WAY)
        took = time.monotonic() - begun
        return Stop(f"TrainingJobStatus {ended['TrainingJobStatus']}", took >= GRACE, took)

    def ended(self) -> list[Ended]:
        """Wait for the job's end and return what each host left."""
        found = self._wait(PATIENCE + WAY)
        if found["TrainingJobStatus"] not in ENDS:
            self.stop(GRACE)
        text, status = _outcome(found)
        self._bring_back()
        if status:
            (self._jobs[0].output / "failure").write_text(text)
        return [self._ended(job, status) for job in self._jobs]

    def _ended(self, job: Job, status: int | None) -> Ended:
        log = self._log(f"{job.host}-")
        return Ended(
            job=job,
            status=status,
            log=log,
            last_line=last(log.splitlines()),
            changes=lambda: cannot_be_asked("what a container changed outside its mounts"),
            failure=lambda: job.failure if status else cannot_be_asked("a failure text of a job that is Completed"),
        )

    def _wait(self, seconds: float) -> dict[str, Any]:
        """Return the job's description when it has ended, or after `seconds`."""
        end = time.monotonic() + seconds
        while (found := self._described())["TrainingJobStatus"] not in ENDS and time.monotonic() < end:
            time.sleep(LOOK)
        return found

    def _described(self) -> dict[str, Any]:
        return dict(self._api.sagemaker.describe_training_job(TrainingJobName=self._name))

    def _bring_back(self) -> None:
        if self._brought:
            return
        self._brought = True
        output = f"jobs/{self._name}/output"
        self._api.get_archive(f"{output}/model.tar.gz", [job.model for job in self._jobs])
        self._api.get_archive(f"{output}/output.tar.gz", [job.output / "data" for job in self._jobs])
        if self._jobs[0].checkpoints:
            self._api.get_folder(self._checkpoints, self._jobs[0].checkpoint_folder)
        for prefix in (f"{self._name}/", f"jobs/{self._name}/"):
            self._api.remove(prefix)


def _outcome(described: dict[str, Any]) -> tuple[str, int | None]:
    """Return a job's failure text and exit status; raises AssertionError when it failed outside its container."""
    if described["TrainingJobStatus"] != "Failed":
        return "", 0 if described["TrainingJobStatus"] == "Completed" else None
    found = REASON.fullmatch(described["FailureReason"])
    assert found, f"the job failed outside its container: {described['FailureReason']}"
    return found["text"], int(found["status"] or 1)
