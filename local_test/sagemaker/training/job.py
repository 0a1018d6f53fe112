"""The life of a training job, from Starting to Completed, Failed or Stopped."""

import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.logs import TRAINING as LOG_GROUP
from local_test.sagemaker.machine import Container, Running
from local_test.sagemaker.metrics import TRAINING as NAMESPACE
from local_test.sagemaker.metrics import MetricReader, Point, final
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training import archives, channels
from local_test.sagemaker.training.layout import HostFolder, write_config
from local_test.sagemaker.training.status import enter, stopping

GRACE = 120  # seconds between SIGTERM and SIGKILL (C 1.1)
REASON = 1024  # characters of FailureReason (C 1.1)
STEP = 0.1  # seconds between looks at a running job


class Failed(Exception):
    """The job cannot go on; the text becomes its FailureReason."""


@dataclass(frozen=True)
class Outcome:
    """How the containers of a job ended."""

    statuses: tuple[int, ...]
    cut: str = ""  # Stopped or MaxRuntimeExceeded, when they were told to end

    @property
    def status(self) -> int:
        return next((status for status in self.statuses if status), 0)


class TrainingJob:
    """One job; `run` lasts as long as it does."""

    def __init__(self, cloud: Cloud, resource: Resource) -> None:
        self.cloud = cloud
        self.resource = resource
        self.request = resource.request
        self.work: Path = cloud.settings.work / resource.name
        self.points: list[Point] = []
        self.containers: list[Running] = []

    def run(self) -> None:
        """Bring the job to its end, whatever happens."""
        try:
            hosts = self.request["ResourceConfig"]["InstanceCount"]
            with self.cloud.background.place(hosts, self._given_up) as got:
                if got:
                    self._run()
                else:
                    self._end("Stopped")
        except Failed as failed:
            self._end("Failed", str(failed))
        except ApiError as error:
            self._end("Failed", f"ClientError: {error.message}")
        except Exception as error:
            self._end("Failed", f"InternalServerError: {type(error).__name__}: {error}")
            raise
        finally:
            for container in self.containers:
                container.kill()
            shutil.rmtree(self.work, ignore_errors=True)

    def _run(self) -> None:
        self._enter("Downloading", TrainingStartTime=time.time())
        names = self.cloud.machine.hosts(self.request["ResourceConfig"]["InstanceCount"])
        hosts = [self._prepare(number, name, names) for number, name in enumerate(names, 1)]
        if self._given_up():
            return self._end("Stopped")
        self._enter("Training")
        outcome = self._train([container for _, container in hosts])
        folders = [folder for folder, _ in hosts]
        if outcome.status and not outcome.cut:
            self._upload("output", [folder.output / "data" for folder in folders])
            raise Failed(_reason(folders, outcome))
        if not stopping(self.resource):
            self._enter("Uploading")
        self._upload("model", [folder.model for folder in folders])
        self._upload("output", [folder.output / "data" for folder in folders])
        self._end(outcome.cut or "Completed")

    def _prepare(self, number: int, name: str, names: tuple[str, ...]) -> tuple[HostFolder, Container]:
        """Lay out one host's folders and return its container."""
        host = HostFolder(self.work / f"algo-{number}")
        host.make()
        write_config(host.config, self.request, names, name, self.cloud.machine.interface)
        brought = {
            channel["ChannelName"]: channels.bring(channel, self.cloud.storage, host)
            for channel in self.request.get("InputDataConfig") or []
        }
        algorithm = self.request["AlgorithmSpecification"]
        entry = algorithm.get("ContainerEntrypoint")
        return host, Container(
            name=f"{self.resource.name}-algo-{number}",
            image=algorithm["TrainingImage"],
            command=tuple(algorithm.get("ContainerArguments") or ([] if entry else ["train"])),
            entrypoint=tuple(entry) if entry else None,
            environment={
                "TRAINING_JOB_NAME": self.resource.name,
                "TRAINING_JOB_ARN": self.resource.arn,
                **(self.request.get("Environment") or {}),
            },
            mounts=host.mounts(self.request, brought),
            host=name,
            network=self.resource.name if len(names) > 1 else None,
            isolated=bool(self.request.get("EnableNetworkIsolation")),
        )

    def _train(self, containers: list[Container]) -> Outcome:
        """Run the containers to their end, or until the job's time is over or a client stops it."""
        deadline = time.monotonic() + self.request["StoppingCondition"]["MaxRuntimeInSeconds"]
        readers = []
        for number, container in enumerate(containers, 1):
            running = self.cloud.machine.start(container)
            self.containers.append(running)
            reader = threading.Thread(target=self._read, args=(running, number), daemon=True)
            reader.start()
            readers.append(reader)
        cut = ""
        while not cut and any(running.wait(STEP) is None for running in self.containers):
            if self.cloud.background.ending.is_set():
                raise Failed("InternalServerError: the emulator was stopped while the job ran")
            if stopping(self.resource):
                cut = "Stopped"
            elif time.monotonic() > deadline:
                cut = "MaxRuntimeExceeded"
            elif self._host_failed():
                break
        if cut or self._host_failed():
            self._stop_all()
        for reader in readers:
            reader.join()
        return Outcome(tuple(running.wait() or 0 for running in self.containers), cut)

    def _host_failed(self) -> bool:
        """Return whether a host's program has failed; the job fails with it, and the other hosts are told to end."""
        return any(running.wait(0) for running in self.containers)

    def _stop_all(self) -> None:
        threads = [threading.Thread(target=running.stop, args=(GRACE,)) for running in self.containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _read(self, running: Running, number: int) -> None:
        """Carry a container's lines to its log stream, and its metrics to CloudWatch, as they come."""
        name = f"{self.resource.name}/algo-{number}-{int(time.time())}"
        stream = self.cloud.logs.stream(LOG_GROUP, name)
        reader = MetricReader(self.request["AlgorithmSpecification"].get("MetricDefinitions") or [])
        for line in running.lines():
            stream.write([line])
            if points := reader.read(line):
                self.points += points
                self.cloud.metrics.put(NAMESPACE, {"TrainingJobName": self.resource.name}, points)
                self.cloud.store.update(self.resource, FinalMetricDataList=final(self.points))

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

    def _enter(self, phase: str, **state: Any) -> None:
        if not stopping(self.resource):
            enter(self.cloud, self.resource, phase, **state)

    def _end(self, phase: str, reason: str = "") -> None:
        """Enter the last phase; MaxRuntimeExceeded is a phase of a job that is Stopped."""
        now = time.time()
        status = "Stopped" if phase == "MaxRuntimeExceeded" else phase
        state: dict[str, Any] = {"TrainingJobStatus": status, "TrainingEndTime": now}
        if started := self.resource.state.get("TrainingStartTime"):
            seconds = max(1, round(now - started))
            state |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        if reason:
            state["FailureReason"] = reason[:REASON]
        enter(self.cloud, self.resource, phase, **state)


def _reason(folders: list[HostFolder], outcome: Outcome) -> str:
    """Return why a job failed: what the first failing host left in output/failure (C 1.1)."""
    for folder, status in zip(folders, outcome.statuses, strict=True):
        if status and folder.failure:
            return f"AlgorithmError: {folder.failure[: REASON - 50]}, exit code: {status}"
    return f"AlgorithmError: , exit code: {outcome.status}"
