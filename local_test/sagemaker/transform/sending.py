"""Sends the payloads of a transform job's objects to its model, and puts the answers into S3."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_test.sagemaker.endpoints.client import Answer, Gone, TimedOut
from local_test.sagemaker.endpoints.instance import Instance
from local_test.sagemaker.jobs import Failed
from local_test.sagemaker.storage import NoBucket, S3Uri, Storage
from local_test.sagemaker.training.inputs import Input, inputs
from local_test.sagemaker.transform.parameters import Parameters
from local_test.sagemaker.transform.processing import BadData, Processing
from local_test.sagemaker.transform.records import MB, Damaged, Payload, Splitting, TooLarge

STEP = 0.01  # seconds between two checks for an answer
PAUSE = 1.0  # seconds before a request is tried again


class Refused(Exception):
    """An object could not be transformed; `who` names the fault's side, ClientError or AlgorithmError. The text goes to the log."""

    def __init__(self, who: str, text: str) -> None:
        super().__init__(text)
        self.who = who


@dataclass
class Output:
    """The result for one object: the file of its answers, and why it failed."""

    input: Input
    path: Path
    refused: Refused | None = None


# The payload is None after an object's last payload.
Pending = tuple[Output, Payload | None, "Future[Answer] | None"]


@dataclass
class Sending:
    """Sends all objects of one job. `failures` holds why objects could not be transformed; the job continues with the others."""

    request: dict[str, Any]
    storage: Storage
    folder: Path  # the folder of the answers, until an object has all of its answers
    log: Callable[[str], None]
    check: Callable[[], None]  # raises Cut or Failed if the job must not continue
    failures: list[Refused] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.processing = Processing(self.request)

    def send(self, instance: Instance, parameters: Parameters) -> None:
        """Send all payloads, as many at a time as the parameters allow, and take the answers in the order of the payloads."""
        with ThreadPoolExecutor(parameters.concurrent) as pool:
            self._send(instance, parameters, pool)

    def _send(self, instance: Instance, parameters: Parameters, pool: ThreadPoolExecutor) -> None:
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
            instance.end()  # running requests then end too
            for _, _, future in waiting:
                if future:
                    future.cancel()
            raise

    def _payloads(self, parameters: Parameters) -> Iterator[tuple[Output, Payload | None]]:
        """Yield the payloads of all objects. After each object's last payload, yield None as the payload."""
        given = self.request["TransformInput"]
        splitting = Splitting(
            kind=given.get("SplitType", "None"),
            several=parameters.strategy == "MULTI_RECORD",
            largest=parameters.payload * MB,
            packed=given.get("CompressionType") == "Gzip",
        )
        for number, entry in enumerate(inputs(given, self.storage)):
            path = self.folder / str(number)
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
            self.check()
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
        """Add an answer to its object's answers. If the object has no more payloads, put its answers into S3."""
        output, payload, future = pending
        if future is None or payload is None:
            return self._finish(output)
        while not future.done():
            self.check()
            time.sleep(STEP)
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
        # Each record ends with a newline; an existing newline is not doubled (API, TransformOutput.AssembleWith).
        by_line = self.request["TransformOutput"].get("AssembleWith") == "Line" and not kept.endswith(b"\n")
        with output.path.open("ab") as file:
            file.write(kept + b"\n" if by_line else kept)

    def _finish(self, output: Output) -> None:
        """Put an object's answers into S3, unless one of its payloads was refused, because incomplete answers are not written (API)."""
        if output.refused:
            where = (
                f"{self.request['TransformInput']['DataSource']['S3DataSource']['S3Uri']}: {output.input.object.key}"
            )
            self.log(f"{where}: {output.refused.who}: {output.refused}")
            self.failures.append(output.refused)
            return
        address = S3Uri.parse(self.request["TransformOutput"]["S3OutputPath"]).below(f"{output.input.name}.out")
        try:
            self.storage.put(address, output.path)
        except NoBucket as error:
            raise Failed(f"ClientError: the bucket {error} of S3OutputPath does not exist") from None
        output.path.unlink()


def _text(answer: Answer) -> str:
    return answer.body[:500].decode("utf-8", "replace")
