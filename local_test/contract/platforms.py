"""The platforms that run an image for the suite: `docker run`, or a local SageMaker through its API. Both have the same methods."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from local_test.contract import client, containers
from local_test.contract.conditions import USUAL, Conditions
from local_test.contract.containers import Containers
from local_test.contract.emulated import Api, name
from local_test.contract.emulated_endpoints import (
    EmulatedBatch,
    EmulatedEndpoint,
    EmulatedMultiModel,
    hosted,
    hosted_several,
)
from local_test.contract.emulated_jobs import EmulatedJob
from local_test.contract.job import Ended, Job


class Emulated:
    """Lets a local SageMaker run an image's jobs and endpoints."""

    def __init__(self, image: str, api: Api) -> None:
        self.image = image
        self._api = api

    def start(self, job: Job, conditions: Conditions = USUAL) -> EmulatedJob:
        return EmulatedJob(self._api, self.image, [job], conditions)

    def run(self, job: Job, conditions: Conditions = USUAL) -> Ended:
        with self.start(job, conditions) as started:
            (ended,) = started.ended()
            return ended

    def run_hosts(self, jobs: Sequence[Job]) -> list[Ended]:
        with EmulatedJob(self._api, self.image, jobs, USUAL) as started:
            return started.ended()

    @contextlib.contextmanager
    def endpoint(self, model: Path, conditions: Conditions = USUAL) -> Iterator[EmulatedEndpoint]:
        with self._prefix() as prefix:
            container = hosted(self._api, self.image, model, prefix)
            with EmulatedEndpoint(self._api, container, conditions) as endpoint:
                yield endpoint

    @contextlib.contextmanager
    def batch(self, model: Path) -> Iterator[EmulatedBatch]:
        with self._prefix() as prefix:
            yield EmulatedBatch(self._api, hosted(self._api, self.image, model, prefix))

    @contextlib.contextmanager
    def multi_model(self, models: Path) -> Iterator[EmulatedMultiModel]:
        with self._prefix() as prefix:
            container = hosted_several(self._api, self.image, models, prefix)
            with EmulatedMultiModel(self._api, container, USUAL) as endpoint:
                endpoint.wait_ready()
                yield endpoint

    @contextlib.contextmanager
    def _prefix(self) -> Iterator[str]:
        """Yield a new prefix in S3, and remove its objects at the end."""
        prefix = f"{name()}/"
        try:
            yield prefix
        finally:
            self._api.remove(prefix)


Platform = Containers | Emulated
StartedJob = containers.StartedJob | EmulatedJob
Endpoint = client.Endpoint | EmulatedEndpoint
Batch = containers.Batch | EmulatedBatch
MultiModel = containers.MultiModel | EmulatedMultiModel


def choose(image: str, emulator: str | None) -> Platform:
    """Return the local SageMaker at the address `emulator`, or `docker run` if it is None; raises NoEmulator."""
    return Emulated(image, Api(emulator)) if emulator else Containers(image)
