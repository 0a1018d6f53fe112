"""The runtime's routes: InvokeEndpoint and InvokeEndpointAsync."""

import json
import uuid
from typing import Any

from werkzeug.wrappers import Request, Response

from local_test.sagemaker import shapes
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.invocation import PREFIX, Invoker, check, read
from local_test.sagemaker.endpoints.names import ENDPOINT
from local_test.sagemaker.endpoints.runtime_errors import RuntimeFailure, invalid, not_found, too_large
from local_test.sagemaker.endpoints.serving import Serving, serving
from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.routes import route
from local_test.sagemaker.storage import S3Uri

SECONDS = 60.0  # seconds within which a container must answer (C 3.1)
LARGEST = 25 << 20  # the most bytes of a body (C 3.2)
LARGEST_SERVERLESS = 4 << 20  # the most bytes of a body for a serverless endpoint (C 3.5)
LARGEST_INLINE = 128_000  # the most bytes of a body of InvokeEndpointAsync (C 3.5)
# The container's headers that reach the client (API of the runtime, InvokeEndpointOutput).
ANSWERED = (
    "content-type",
    *(PREFIX.lower() + name for name in ("custom-attributes", "new-session-id", "closed-session-id")),
)
BLOCK = 1 << 16


@route("POST", r"/endpoints/(?P<name>[^/]+)/invocations")
def invoke(request: Request, cloud: Cloud, name: str) -> Response:
    try:
        found = _serving(request, cloud, name, "InvokeEndpoint")
        if found.asynchronous:
            raise invalid(f"the endpoint {name} is asynchronous; use InvokeEndpointAsync")
        body = _body(request, LARGEST_SERVERLESS if found.serverless else LARGEST)
        invocation = read(request, body)
        variant, answer = Invoker(cloud, name).invoke(invocation, SECONDS)
    except RuntimeFailure as failure:
        return failure.response()
    if found.capture:
        found.capture.add(variant.name, invocation, answer)
    headers = {header: answer.headers[header] for header in ANSWERED if header in answer.headers}
    headers["x-Amzn-Invoked-Production-Variant"] = variant.name
    return _response(answer.body, 200, headers)


@route("POST", r"/endpoints/(?P<name>[^/]+)/async-invocations")
def invoke_asynchronously(request: Request, cloud: Cloud, name: str) -> Response:
    try:
        found = _serving(request, cloud, name, "InvokeEndpointAsync")
        if found.queue is None:
            raise invalid(f"the endpoint {name} has no AsyncInferenceConfig; use InvokeEndpoint")
        body = _body(request, LARGEST_INLINE)
        location = request.headers.get(f"{PREFIX}InputLocation")
        if bool(location) == bool(body):  # API of the runtime, InvokeEndpointAsyncInput: Body
            raise invalid("Body and InputLocation are mutually exclusive. Provide exactly one of them.")
        queued = found.queue.add(request, body, _address(location) if location else None)
    except RuntimeFailure as failure:
        return failure.response()
    headers = {f"{PREFIX}OutputLocation": str(queued.output)}
    if queued.failure:
        headers[f"{PREFIX}FailureLocation"] = str(queued.failure)
    return _response(
        json.dumps({"InferenceId": queued.inference}), 202, {**headers, "content-type": "application/json"}
    )


@route("POST", r"/endpoints/(?P<name>[^/]+)/invocations-response-stream")
def invoke_with_stream(request: Request, cloud: Cloud, name: str) -> Response:
    message = "InvokeEndpointWithResponseStream is not emulated; docs/emulator.md lists what the emulator does"
    return RuntimeFailure("NotEmulated", message, 400).response()


def _serving(request: Request, cloud: Cloud, name: str, operation: str) -> Serving:
    """Check the request's headers and return the endpoint that serves; raises RuntimeFailure."""
    try:
        cloud.faults.strike_action(operation)
    except ApiError as error:
        raise RuntimeFailure(error.code, error.message, error.status) from None
    check(request, shapes.service("sagemaker-runtime").operation_model(operation))
    resource = cloud.store.find(ENDPOINT, name)
    found = serving(resource.arn) if resource else None
    if found is None:
        raise not_found(name)
    return found


def _address(location: str) -> S3Uri:
    """Return the address of an input in S3; raises RuntimeFailure."""
    try:
        return S3Uri.parse(location)
    except ApiError as error:
        raise invalid(error.message) from None


def _body(request: Request, limit: int) -> bytes:
    """Return the body; raises RuntimeFailure if it is too large, after reading it to its end."""
    if request.content_length is None or request.content_length <= limit:
        body = request.stream.read(limit + 1)
        if len(body) <= limit:
            return bytes(body)
    while request.stream.read(BLOCK):
        pass
    raise too_large(limit)


def _response(body: bytes | str, status: int, headers: dict[str, Any]) -> Response:
    headers["x-amzn-RequestId"] = str(uuid.uuid4())
    return Response(body, status, headers)
