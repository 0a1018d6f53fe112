"""Handles an invocation, from its headers to the container's answer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.model import OperationModel
from werkzeug.wrappers import Request

from local_test.sagemaker import shapes
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints import invocation_metrics
from local_test.sagemaker.endpoints.client import Answer, Body, Gone, TimedOut
from local_test.sagemaker.endpoints.fleet import Variant
from local_test.sagemaker.endpoints.instance import Instance
from local_test.sagemaker.endpoints.model_data import NoModelData
from local_test.sagemaker.endpoints.multi_model import NotReady, Refused
from local_test.sagemaker.endpoints.names import ENDPOINT
from local_test.sagemaker.endpoints.runtime_errors import (
    CUT_OFF,
    EXITED,
    LATE,
    RuntimeFailure,
    invalid,
    model_error,
    not_found,
    not_ready,
    throttled,
    unavailable,
)
from local_test.sagemaker.endpoints.serving import serving

TRIES = 2  # an update may remove a fleet after the variant was chosen and before its instance is chosen
PREFIX = "X-Amzn-SageMaker-"
# The client's headers that reach the container; all others are left out (API of the runtime, InvokeEndpoint).
PASSED = (
    "Content-Type",
    "Accept",
    *(
        PREFIX + name
        for name in (
            "Custom-Attributes",
            "Inference-Id",
            "Target-Model",
            "Target-Variant",
            "Session-Id",
            "Prefix-Aware-Id",
        )
    ),
)
MISSING = ("Enable-Explanations", "Target-Container-Hostname", "Inference-Component")


@dataclass(frozen=True)
class Invocation:
    """A client's request to an endpoint, after it was checked."""

    headers: dict[str, str]  # the headers that the container gets
    body: Body
    variant: str | None = None
    model: str | None = None  # the model of a multi-model endpoint


def check(request: Request, operation: OperationModel) -> None:
    """Raise RuntimeFailure unless the headers fit the API model of an operation, and the emulator supports them."""
    for name in MISSING:
        if PREFIX + name in request.headers:
            raise RuntimeFailure(
                "NotEmulated", f"{PREFIX}{name} is not emulated; docs/emulator.md lists what the emulator does", 400
            )
    found = []
    for name, shape in operation.input_shape.members.items():
        text = (
            request.headers.get(shape.serialization.get("name", ""))
            if shape.serialization.get("location") == "header"
            else None
        )
        if text is not None:
            number = shape.type_name == "integer" and text.isdecimal()
            found += shapes.problems(shape, int(text) if number else text, name)
    if found:
        errors = "error" if len(found) == 1 else "errors"
        raise invalid(f"{len(found)} validation {errors} detected: {'; '.join(found)}")


def read(request: Request, body: bytes) -> Invocation:
    """Return the invocation that a request of InvokeEndpoint describes."""
    headers = {name: request.headers[name] for name in PASSED if name in request.headers}
    return Invocation(
        headers=headers,
        body=body,
        variant=headers.get(f"{PREFIX}Target-Variant"),
        model=headers.get(f"{PREFIX}Target-Model"),
    )


class Invoker:
    """Invokes one endpoint, through the fleet that serves it at the moment."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._cloud = cloud
        self._name = name

    def invoke(self, invocation: Invocation, seconds: float) -> tuple[Variant, Answer]:
        """Return the variant that was invoked, and its container's answer; raises RuntimeFailure."""
        began = time.monotonic()
        variant, instance = self._taken(invocation)
        try:
            with self._admitted(variant):
                answer, model_seconds = self._answer(variant, instance, invocation, seconds)
        finally:
            instance.release()
        overhead = time.monotonic() - began - model_seconds
        invocation_metrics.record(self._cloud, self._name, variant, answer.status, model_seconds, overhead)
        if not 200 <= answer.status < 300:
            raise model_error(self._cloud.region, self._name, answer)
        return variant, answer

    def _taken(self, invocation: Invocation) -> tuple[Variant, Instance]:
        """Return the instance for an invocation, and its variant; raises RuntimeFailure."""
        for _ in range(TRIES):
            variant = self._chosen(invocation)
            if instance := variant.take():
                return variant, instance
        invocation_metrics.record(self._cloud, self._name, variant, 503, 0.0, 0.0)
        raise unavailable(variant.name)

    def _chosen(self, invocation: Invocation) -> Variant:
        found = serving(self._cloud.arn(ENDPOINT, self._name))
        if found is None:
            raise not_found(self._name)
        variant = found.choose(invocation.variant)
        if variant is None:
            raise invalid(f"Variant {invocation.variant} of endpoint {self._name} not found.")
        if bool(invocation.model) != variant.several:
            what = "needs" if variant.several else "hosts one model, and takes no"
            raise invalid(f"the endpoint {self._name} {what} TargetModel")
        return variant

    def _answer(
        self, variant: Variant, instance: Instance, invocation: Invocation, seconds: float
    ) -> tuple[Answer, float]:
        """Return the answer of an instance, and the seconds that the container took for it."""
        began, starts = time.monotonic(), instance.starts
        try:
            if invocation.model:
                self._load(variant, instance, invocation.model)
                began = time.monotonic()
                answer = variant.models[instance].invoke(invocation.model, seconds, invocation.headers, invocation.body)
            else:
                answer = instance.ask("POST", "/invocations", seconds, invocation.headers, invocation.body)
        except TimedOut:
            answer = LATE
        except Gone:
            answer = EXITED if instance.exits(starts) else CUT_OFF
        except Refused as refused:
            answer = refused.answer
        return answer, time.monotonic() - began

    def _load(self, variant: Variant, instance: Instance, model: str) -> None:
        models = variant.models[instance]
        began = time.monotonic()
        try:
            hit = models.load(model)
        except NotReady:
            raise not_ready(model) from None
        except NoModelData as error:
            raise invalid(str(error)) from None
        invocation_metrics.record_loading(
            self._cloud, self._name, variant, hit, time.monotonic() - began, models.count()
        )

    @contextmanager
    def _admitted(self, variant: Variant) -> Iterator[None]:
        """Count an invocation of a serverless variant; raises RuntimeFailure if the variant has reached its MaxConcurrency."""
        config = variant.serverless
        if config is None:
            yield
            return
        with variant.lock:
            if variant.in_flight >= config["MaxConcurrency"]:
                raise throttled(variant.name, config["MaxConcurrency"])
            variant.in_flight += 1
        try:
            yield
        finally:
            with variant.lock:
                variant.in_flight -= 1
