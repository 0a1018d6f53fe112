"""The life of a transform job: starts its container and sends all objects to it."""

import shutil
import time
from pathlib import Path
from typing import Any

from local_test.sagemaker import jobs
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.client import Gone, TimedOut
from local_test.sagemaker.endpoints.instance import Instance, new_id
from local_test.sagemaker.endpoints.model_data import ModelData, NoModelData, bring
from local_test.sagemaker.jobs import Cut, Ending, Failed, stopping
from local_test.sagemaker.logs import TRANSFORM as LOG_GROUP
from local_test.sagemaker.machine import Container, Mount
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training.layout import OPT_ML
from local_test.sagemaker.transform.parameters import Parameters, variables
from local_test.sagemaker.transform.sending import Sending

STARTUP = 8 * 60  # seconds until /ping must have answered (C 3.1)
PORT = 8080
STEP = 0.1
# The text comes from reports of users.
SEE_LOGS = "See job logs for more information"


class TransformJob:
    """One transform job; `run` returns when the job has ended."""

    def __init__(self, cloud: Cloud, resource: Resource, container: dict[str, Any], isolated: bool) -> None:
        self.cloud = cloud
        self.resource = resource
        self.request = resource.request
        self.container = container
        self.isolated = isolated
        self.work: Path = cloud.settings.work / f"transform-{resource.name}"
        self.identity = f"{resource.name}/{new_id()}-{int(time.time())}"

    def run(self) -> None:
        """Bring the job to its end, whatever happens."""
        try:
            jobs.bring_to_end(self._placed, lambda ending: jobs.end(self.resource, self.cloud, ending))
        finally:
            shutil.rmtree(self.work, ignore_errors=True)

    def _placed(self) -> Ending:
        with self.cloud.background.place(1, self._given_up, lambda: None) as got:
            if not got:
                raise Cut("Stopped") if stopping(self.resource) else Failed(jobs.ENDED_BEFORE)
            self._run()
        return Ending("Completed")

    def _run(self) -> None:
        faults, name = self.cloud.faults, self.resource.name
        if faults.take("no-capacity", name):
            raise Failed(jobs.NO_CAPACITY)
        if faults.take("image-missing", name):
            raise jobs.image_missing(self.container["Image"])
        self.cloud.store.update(self.resource, TransformStartTime=time.time())
        answers = self.work / "answers"
        answers.mkdir(parents=True)
        sending = Sending(
            request=self.request, storage=self.cloud.storage, folder=answers, log=self._log, check=self._check
        )
        instance = self._instance()
        instance.start()
        try:
            self._until_ready(instance)
            parameters = self._parameters(instance)
            self._log(
                f"MaxConcurrentTransforms={parameters.concurrent}, MaxPayloadInMB={parameters.payload}, "
                f"BatchStrategy={parameters.strategy}"
            )
            sending.send(instance, parameters)
        finally:
            instance.end()
            instance.wait()
        if sending.failures:
            raise Failed(f"{sending.failures[0].who}: {SEE_LOGS}")

    def _instance(self) -> Instance:
        folder = self.work / "model"
        data = ModelData.of(self.container)
        try:
            if data.source:
                bring(data.source, self.cloud.storage, folder)
            else:
                folder.mkdir()
        except NoModelData as error:
            raise Failed(f"ClientError: {error}") from None
        environment = {
            **(self.container.get("Environment") or {}),
            **(self.request.get("Environment") or {}),
            **variables(self.request),
        }
        container = Container(
            name=f"transform-{self.resource.name}",
            image=self.container["Image"],
            command=("serve",),
            environment=environment,
            mounts=(Mount(folder, OPT_ML / "model", read_only=True),),
            isolated=self.isolated,
            port=PORT,
        )
        stream = self.cloud.logs.stream(LOG_GROUP, self.identity)
        return Instance(self.cloud, self.resource.name, container, stream, STARTUP)

    def _until_ready(self, instance: Instance) -> None:
        while not instance.ready:
            self._check()
            if instance.failure:
                raise Failed(f"AlgorithmError: the model container {instance.failure}. {SEE_LOGS}")
            time.sleep(STEP)

    def _parameters(self, instance: Instance) -> Parameters:
        try:
            answer = instance.ask("GET", "/execution-parameters", 60, {}, None)
        except (Gone, TimedOut):
            return Parameters.of(self.request, None)
        return Parameters.of(self.request, answer.body if answer.status == 200 else None)

    def _log(self, line: str) -> None:
        """Write a line to the job's data log, a separate stream from the container's log (G23 logging-cloudwatch)."""
        self.cloud.logs.stream(LOG_GROUP, f"{self.identity}/data-log").write([line])

    def _check(self) -> None:
        """Raise Cut or Failed if the job must not continue."""
        if stopping(self.resource):
            raise Cut("Stopped")
        if self.cloud.background.ending.is_set():
            raise Failed("InternalServerError: the emulator was stopped while the job ran")
        if self.cloud.faults.take("internal-error", self.resource.name):
            raise Failed(jobs.INTERNAL)

    def _given_up(self) -> bool:
        return stopping(self.resource) or self.cloud.background.ending.is_set()
