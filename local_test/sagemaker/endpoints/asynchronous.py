"""Asynchronous inference: a queue of requests, whose answers are put into S3."""

import json
import tempfile
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.sns.models import sns_backends
from werkzeug.wrappers import Request

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.client import Answer
from local_test.sagemaker.endpoints.invocation import PREFIX, Invocation, Invoker
from local_test.sagemaker.endpoints.names import ENDPOINT
from local_test.sagemaker.endpoints.runtime_errors import RuntimeFailure, invalid
from local_test.sagemaker.endpoints.serving import serving
from local_test.sagemaker.settings import ACCOUNT
from local_test.sagemaker.storage import NoBucket, S3Uri

TTL = 21600  # default of the seconds that a request may wait (API of the runtime, RequestTTLSeconds)
TIMEOUT = 900  # default of the seconds that an invocation may take (API of the runtime, InvocationTimeoutSeconds)
LARGEST = 1 << 30  # the most bytes of an input in S3 (C 3.5)
# How many invocations an instance gets at a time if MaxConcurrentInvocationsPerInstance is not set. AWS does not document its choice.
AT_A_TIME = 4
# The most bytes of an answer that a notification includes (API, AsyncInferenceNotificationConfig).
INCLUDED = 128 * 1024


@dataclass(frozen=True)
class Queued:
    """A request that waits for its turn."""

    inference: str
    headers: dict[str, str]
    source: S3Uri | None
    body: bytes
    output: S3Uri
    failure: S3Uri | None
    received: float
    ttl: float
    timeout: float


class Queue:
    """The requests of one asynchronous endpoint."""

    def __init__(self, cloud: Cloud, endpoint: str, config: dict[str, Any]) -> None:
        self._cloud = cloud
        self._endpoint = endpoint
        self._output = config["OutputConfig"]
        limit = (config.get("ClientConfig") or {}).get("MaxConcurrentInvocationsPerInstance")
        self._at_a_time: int = limit or AT_A_TIME
        self._waiting: deque[Queued] = deque()
        self._working = 0
        self._lock = threading.Lock()

    def add(self, request: Request, body: bytes, source: S3Uri | None) -> Queued:
        """Queue a request and return it; raises RuntimeFailure if its input does not exist."""
        if source and not self._input(source):
            raise invalid(f"Could not find the input {source}")
        queued = self._queued(request, body, source)
        self._wait(queued)
        return queued

    def adopt(self, before: "Queue") -> None:
        """Take over the waiting requests from the queue of the previous configuration."""
        for queued in before.close():
            self._wait(queued)

    def close(self) -> list[Queued]:
        """Empty the queue, and return the requests that waited."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
            return waiting

    def _wait(self, queued: Queued) -> None:
        """Queue a request, and start a worker if no worker runs."""
        with self._lock:
            self._waiting.append(queued)
            fresh = self._working < self._at_a_time * self._instances()
            self._working += fresh
        if fresh:
            self._cloud.background.start(f"invocations of {self._endpoint}", self._work)

    def _instances(self) -> int:
        found = serving(self._cloud.arn(ENDPOINT, self._endpoint))
        return sum(len(variant.instances) for variant in found.fleet.variants.values()) if found else 1

    def _queued(self, request: Request, body: bytes, source: S3Uri | None) -> Queued:
        def header(name: str, default: str = "") -> str:
            return str(request.headers.get(PREFIX + name, default))

        inference = header("Inference-Id", str(uuid.uuid4()))
        named = {"Content-Type": header("Content-Type"), "Accept": header("Accept")}
        passed = {f"{PREFIX}{name}": header(name) for name in ("Custom-Attributes", "Inference-Id")}
        extension = header("S3OutputPathExtension").strip("/")
        token = str(uuid.uuid4())
        failures = self._output.get("S3FailurePath")
        output = _below(self._output["S3OutputPath"], extension).below(header("Filename", f"{token}.out"))
        return Queued(
            inference=inference,
            headers={name: value for name, value in {**named, **passed}.items() if value},
            source=source,
            body=body,
            output=output,
            failure=S3Uri.parse(failures).below(f"{token}-error.out") if failures else None,
            received=time.time(),
            ttl=float(header("RequestTTLSeconds", str(TTL))),
            timeout=float(header("InvocationTimeoutSeconds", str(TIMEOUT))),
        )

    def _work(self) -> None:
        """Answer the waiting requests one after the other, until the queue is empty."""
        while not self._cloud.background.ending.is_set():
            with self._lock:
                if not self._waiting:
                    self._working -= 1
                    return
                queued = self._waiting.popleft()
            try:
                answer = self._answer(queued)
            except RuntimeFailure as failure:
                self._fail(queued, failure.message)
            else:
                self._succeed(queued, answer)

    def _answer(self, queued: Queued) -> Answer:
        if time.time() - queued.received > queued.ttl:
            raise RuntimeFailure("Expired", "the request has waited longer than its RequestTTLSeconds", 400)
        body: bytes | Path = queued.body
        if queued.source:
            path = self._input(queued.source)
            if path is None:
                raise invalid(f"Could not find the input {queued.source}")
            body = path
        invocation = Invocation(queued.headers, body)
        return Invoker(self._cloud, self._endpoint).invoke(invocation, queued.timeout)[1]

    def _input(self, source: S3Uri) -> Path | None:
        try:
            found = self._cloud.storage.object(source)
        except NoBucket:
            return None
        if found and found.size > LARGEST:
            raise invalid(f"the input {source} has {found.size} bytes; at most {LARGEST} are allowed")
        return found.path if found else None

    def _succeed(self, queued: Queued, answer: Answer) -> None:
        kind = answer.headers.get("content-type", "")
        self._put(queued.output, answer.body, kind)
        topic = "SuccessTopic"
        outcome: dict[str, Any] = {"responseParameters": {"contentType": kind, "outputLocation": str(queued.output)}}
        if self._included("SUCCESS_NOTIFICATION_TOPIC") and len(answer.body) <= INCLUDED:
            outcome["responseBody"] = {"content": answer.body.decode("utf-8", "replace"), "encoding": kind}
        self._notify(topic, queued, "Completed", outcome)

    def _fail(self, queued: Queued, reason: str) -> None:
        self._cloud.say(f"endpoint {self._endpoint}: the asynchronous invocation {queued.inference} failed: {reason}")
        if queued.failure:
            self._put(queued.failure, reason.encode(), "text/plain")
        self._notify("ErrorTopic", queued, "Failed", {"failureReason": f"ClientError: {reason}"})

    def _included(self, topic: str) -> bool:
        return topic in ((self._output.get("NotificationConfig") or {}).get("IncludeInferenceResponseIn") or [])

    def _put(self, where: S3Uri, content: bytes, kind: str) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            try:
                self._cloud.storage.put(where, Path(file.name), kind or None)
            except NoBucket:
                self._cloud.say(f"endpoint {self._endpoint}: an answer is lost: there is no bucket {where.bucket}")

    def _notify(self, topic: str, queued: Queued, status: str, outcome: dict[str, Any]) -> None:
        """Publish a notification to an SNS topic, in the form of AWS's examples."""
        arn = (self._output.get("NotificationConfig") or {}).get(topic)
        if not arn:
            return
        parameters = {
            "accept": queued.headers.get("Accept"),
            "contentType": queued.headers.get("Content-Type"),
            "endpointName": self._endpoint,
            "inputLocation": str(queued.source) if queued.source else None,
        }
        message = {
            "awsRegion": self._cloud.region,
            "eventTime": _time(time.time()),
            "receivedTime": _time(queued.received),
            "invocationStatus": status,
            "requestParameters": {name: value for name, value in parameters.items() if value},
            **outcome,
            "inferenceId": queued.inference,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        try:
            sns_backends[ACCOUNT][arn.split(":")[3]].publish(json.dumps(message), arn)
        except Exception as error:
            self._cloud.say(f"endpoint {self._endpoint}: the topic {arn} was not notified: {error}")


def _below(address: str, extension: str) -> S3Uri:
    where = S3Uri.parse(address)
    return where.below(extension) if extension else where


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
