"""One attempt of a job: its containers from start to end. A job that is interrupted or tried again has several attempts."""

import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.machine import Container, Mount, Running
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training import warm_pool
from local_test.sagemaker.training.channels import Brought, bring
from local_test.sagemaker.training.layout import HostFolder, write_config
from local_test.sagemaker.training.report import Report
from local_test.sagemaker.training.sync import Sync, checkpoint_mount, syncs

GRACE = 120  # seconds between SIGTERM and SIGKILL (C 1.1)


@dataclass
class Attempt:
    """The hosts of one attempt: their folders, containers and pipes, and the folders that are kept in S3."""

    cloud: Cloud
    resource: Resource
    work: Path
    extra: tuple[Mount, ...] = ()  # the mounts of a warm pool
    hosts: list[HostFolder] = field(default_factory=list)
    _containers: list[Container] = field(default_factory=list)
    _running: list[Running] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)
    _brought: list[Brought] = field(default_factory=list)
    _syncs: list[Sync] = field(default_factory=list)

    def prepare(self) -> None:
        """Lay out all hosts' folders with their channels and checkpoints."""
        request = self.resource.request
        names = self.cloud.machine.hosts(request["ResourceConfig"]["InstanceCount"])
        for number, name in enumerate(names):
            host = HostFolder(self.work / f"algo-{number + 1}")
            host.make()
            write_config(host.config, request, names, name, self.cloud.machine.interface)
            brought = bring(request, self.cloud, host, number, len(names))
            mounts = (*host.mounts(), *checkpoint_mount(request, host), *brought.mounts, *self.extra)
            self.hosts.append(host)
            self._brought.append(brought)
            self._containers.append(self._container(number + 1, name, mounts))
        self._syncs = syncs(request, self.hosts, self.cloud.storage)

    def start(self, report: Report) -> None:
        for sync in self._syncs:
            sync.start()
        for number, container in enumerate(self._containers, 1):
            running = self.cloud.machine.start(container)
            self._running.append(running)
            self._readers.append(report.read(running, number))
        for pipe in [pipe for brought in self._brought for pipe in brought.pipes]:
            pipe.start()

    def ended(self, seconds: float) -> bool:
        """Wait at most `seconds`. Return whether all containers have ended, or one container has failed, which fails the job."""
        statuses = [running.wait(seconds if number == 0 else 0) for number, running in enumerate(self._running)]
        return None not in statuses or any(statuses)

    def stop(self) -> None:
        """Ask the containers to end, as the platform does, and wait until they have ended."""
        threads = [threading.Thread(target=running.stop, args=(GRACE,)) for running in self._running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def statuses(self) -> list[int]:
        """Return the exit statuses. First stop what still runs, and bring all output into the log and S3."""
        self.stop()
        for reader in self._readers:
            reader.join()
        self._end_streams()
        return [running.wait() or 0 for running in self._running]

    def remove(self) -> None:
        """End what still runs, and remove the folders."""
        for running in self._running:
            running.kill()
        self._end_streams()
        shutil.rmtree(self.work, ignore_errors=True)

    def _end_streams(self) -> None:
        for pipe in [pipe for brought in self._brought for pipe in brought.pipes]:
            pipe.end()
        for sync in self._syncs:
            sync.end()
        self._syncs = []

    def _container(self, number: int, name: str, mounts: tuple[Mount, ...]) -> Container:
        request = self.resource.request
        algorithm = request["AlgorithmSpecification"]
        entry = algorithm.get("ContainerEntrypoint")
        return Container(
            name=f"{self.resource.name}-algo-{number}",
            image=algorithm["TrainingImage"],
            command=tuple(algorithm.get("ContainerArguments") or ([] if entry else ["train"])),
            entrypoint=tuple(entry) if entry else None,
            environment={
                "TRAINING_JOB_NAME": self.resource.name,
                "TRAINING_JOB_ARN": self.resource.arn,
                **({warm_pool.VARIABLE: str(warm_pool.CACHE)} if self.extra else {}),
                **(request.get("Environment") or {}),
            },
            mounts=mounts,
            host=name,
            network=self.resource.arn if request["ResourceConfig"]["InstanceCount"] > 1 else None,
            isolated=bool(request.get("EnableNetworkIsolation")),
        )
