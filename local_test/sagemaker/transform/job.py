"""The life of a transform job: its container is started, every object's payloads are sent, and its answers put into S3."""

import shutil
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_test.sagemaker import jobs
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.client import Answer, Gone, TimedOut
from local_test.sagemaker.endpoints.instance import Instance, new_id
from local_test.sagemaker.endpoints.model_data import ModelData, NoModelData, bring
from local_test.sagemaker.jobs import Cut, Ending, Failed, stopping
from local_test.sagemaker.logs import TRANSFORM as LOG_GROUP
from local_test.sagemaker.machine import Container, Mount
from local_test.sagemaker.storage import NoBucket, S3Uri
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training.inputs import Input, inputs
from local_test.sagemaker.training.layout import OPT_ML
from local_test.sagemaker.transform.parameters import Parameters, variables
from local_test.sagemaker.transform.processing import BadData, Processing
from local_test.sagemaker.transform.records import MB, Damaged, Payload, Splitting, TooLarge

STARTUP = 8 * 60  # seconds until /ping must have answered (C 3.1)
PORT = 8080
STEP = 0.1
PAUSE = 1.0  # seconds before a request is tried again
# Second-hand: reports of users.
SEE_LOGS = "See job logs for more information"


class Refused(Exception):
    """An object could not be transformed; `who` is to blame, ClientError or AlgorithmError, and the text goes to the log."""

    def __init__(self, who: str, text: str) -> None:
        super().__init__(text)
        self.who = who


@dataclass
class Output:
    """What becomes of one object: the file of its answers, and why it failed."""

    input: Input
    path: Path
    refused: Refused | None = None


Pending = tuple[Output, Payload | None, "Future[Answer] | None"]  # without a payload, the object has no more


class TransformJob:
    """One transform job; `run` lasts as long as it does."""

    def __init__(self, cloud: Cloud, resource: Resource, container: dict[str, Any], isolated: bool) -> None:
        self.cloud = cloud
        self.resource = resource
        self.request = resource.request
        self.container = container
        self.isolated = isolated
        self.work: Path = cloud.settings.work / f"transform-{resource.name}"
        self.processing = Processing(self.request)
        self.identity = f"{resource.name}/{new_id()}-{int(time.time())}"
        self.failures: list[Refused] = []

    def run(self) -> None:
        """Bring the job to its end, whatever happens."""
        try:
            jobs.bring_to_end(self._placed, lambda ending: jobs.end(self.resource, self.cloud, ending))
        finally:
            shutil.rmtree(self.work, ignore_errors=True)

    def _placed(self) -> Ending:
        with self.cloud.background.place(1, self._given_up, lambda: None) as got:
            if not got:
                raise Cut("Stopped")
            self._run()
        return Ending("Completed")

    def _run(self) -> None:
        faults, name = self.cloud.faults, self.resource.name
        if faults.take("no-capacity", name):
            raise Failed(jobs.NO_CAPACITY)
        if faults.take("image-missing", name):
            raise jobs.image_missing(self.container["Image"])
        self.cloud.store.update(self.resource, TransformStartTime=time.time())
        (self.work / "answers").mkdir(parents=True)
        instance = self._instance()
        instance.start()
        try:
            self._until_ready(instance)
            parameters = self._parameters(instance)
            self._log(
                f"MaxConcurrentTransforms={parameters.concurrent}, MaxPayloadInMB={parameters.payload}, "
                f"BatchStrategy={parameters.strategy}"
            )
            with ThreadPoolExecutor(parameters.concurrent) as pool:
                self._transform(instance, parameters, pool)
        finally:
            instance.end()
            instance.wait()
        if self.failures:
            raise Failed(f"{self.failures[0].who}: {SEE_LOGS}")

    def _transform(self, instance: Instance, parameters: Parameters, pool: ThreadPoolExecutor) -> None:
        """Send all payloads, so many at a time as the parameters say, and take the answers in their order."""
        waiting: deque[Pending] = deque()
        try:
            for output, payload in self._payloads(parameters):
                future = pool.submit(self._ask, instance, parameters, payload) if payload else None
                waiting.append((output, payload, future))
                while sum(future is not None for _, _, future in waiting) > parameters.concurrent:
                    self._take(waiting.popleft())
            while waiting:
                self._take(waiting.popleft())
        except BaseException:
            instance.end()  # so that the requests under way end too
            for _, _, future in waiting:
                if future:
                    future.cancel()
            raise

    def _payloads(self, parameters: Parameters) -> Iterator[tuple[Output, Payload | None]]:
        """Yield every object's payloads, and None after the last of each."""
        given = self.request["TransformInput"]
        splitting = Splitting(
            given.get("SplitType", "None"),
            parameters.strategy == "MULTI_RECORD",
            parameters.payload * MB,
            given.get("CompressionType") == "Gzip",
        )
        for number, entry in enumerate(inputs(given, self.cloud.storage)):
            path = self.work / "answers" / str(number)
            path.touch()
            output = Output(entry, path)
            try:
                for payload in splitting.payloads(entry.object.path):
                    if output.refused:
                        break
                    yield output, payload
            except (TooLarge, Damaged) as error:
                output.refused = Refused("ClientError", str(error))
            yield output, None

    def _ask(self, instance: Instance, parameters: Parameters, payload: Payload) -> Answer:
        """Return the model's answer to a payload; raises Refused."""
        try:
            body = payload.glue.join(self.processing.sent(payload.records))
        except BadData as error:
            raise Refused("ClientError", str(error)) from None
        types = {
            "Content-Type": self.request["TransformInput"].get("ContentType"),
            "Accept": self.request["TransformOutput"].get("Accept"),
        }
        headers = {name: value for name, value in types.items() if value}
        for tries_left in range(parameters.retries, -1, -1):
            self._check()
            why = "the model container does not answer"
            try:
                answer = instance.ask("POST", "/invocations", parameters.seconds, headers, body)
                if answer.status < 500:
                    break
                why = f"Bad HTTP status received from algorithm: {answer.status}: {_text(answer)}"
            except TimedOut:
                why = f"the model has not answered within {parameters.seconds} s"
            except Gone:
                pass
            if tries_left:
                time.sleep(PAUSE)
        else:
            raise Refused("AlgorithmError", why)
        if answer.status >= 300:
            raise Refused("ClientError", f"Bad HTTP status received from algorithm: {answer.status}: {_text(answer)}")
        return answer

    def _take(self, pending: Pending) -> None:
        """Add an answer to its object's, or put the object's answers into S3 when there are no more."""
        output, payload, future = pending
        if future is None or payload is None:
            return self._finish(output)
        while not future.done():
            self._check()
            time.sleep(STEP / 10)
        if output.refused:
            return
        try:
            kept = self.processing.kept(payload.records, future.result().body)
        except Refused as refused:
            output.refused = refused
            return
        except BadData as error:
            output.refused = Refused("ClientError", str(error))
            return
        # API, TransformOutput.AssembleWith: a newline after every record; one that is there is not doubled.
        by_line = self.request["TransformOutput"].get("AssembleWith") == "Line" and not kept.endswith(b"\n")
        with output.path.open("ab") as file:
            file.write(kept + b"\n" if by_line else kept)

    def _finish(self, output: Output) -> None:
        """Put an object's answers into S3, unless a payload of it was refused: there are no half ones (API)."""
        if output.refused:
            where = (
                f"{self.request['TransformInput']['DataSource']['S3DataSource']['S3Uri']}: {output.input.object.key}"
            )
            self._log(f"{where}: {output.refused.who}: {output.refused}")
            self.failures.append(output.refused)
            return
        address = S3Uri.parse(self.request["TransformOutput"]["S3OutputPath"]).below(f"{output.input.name}.out")
        try:
            self.cloud.storage.put(address, output.path)
        except NoBucket as error:
            raise Failed(f"ClientError: the bucket {error} of S3OutputPath does not exist") from None
        output.path.unlink()

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
        """Write into the job's data log, beside the container's own (G23 logging-cloudwatch)."""
        self.cloud.logs.stream(LOG_GROUP, f"{self.identity}/data-log").write([line])

    def _check(self) -> None:
        """Raise Cut or Failed when the job is not to go on."""
        if stopping(self.resource):
            raise Cut("Stopped")
        if self.cloud.background.ending.is_set():
            raise Failed("InternalServerError: the emulator was stopped while the job ran")
        if self.cloud.faults.take("internal-error", self.resource.name):
            raise Failed(jobs.INTERNAL)

    def _given_up(self) -> bool:
        return stopping(self.resource) or self.cloud.background.ending.is_set()


def _text(answer: Answer) -> str:
    return answer.body[:500].decode("utf-8", "replace")
