"""The errors of the runtime. Their form in HTTP differs from that of SageMaker's actions."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from werkzeug.wrappers import Response

from local_test.sagemaker.endpoints.client import Answer
from local_test.sagemaker.logs import ENDPOINTS
from local_test.sagemaker.settings import ACCOUNT

LONGEST = 2048  # the most characters of a message (API of the runtime, Message)


@dataclass
class RuntimeFailure(Exception):
    """An invocation that is refused or fails; `members` are added to the body beside Message."""

    code: str
    message: str
    status: int
    members: dict[str, Any] = field(default_factory=dict)

    def response(self) -> Response:
        body = {"Message": self.message[:LONGEST], **self.members}
        headers = {"x-amzn-RequestId": str(uuid.uuid4()), "x-amzn-ErrorType": self.code}
        return Response(json.dumps(body), self.status, headers, content_type="application/json")


def invalid(message: str) -> RuntimeFailure:
    return RuntimeFailure("ValidationError", message, 400)


def not_found(name: str) -> RuntimeFailure:
    # The text comes from reports of users (amazon-sagemaker-examples#293); AWS also uses it for an endpoint that is not in service yet.
    return invalid(f"Endpoint {name} of account {ACCOUNT} not found.")


def too_large(limit: int) -> RuntimeFailure:
    return RuntimeFailure("413", f"HTTP content length exceeded {limit} bytes.", 413)


def unavailable(variant: str) -> RuntimeFailure:
    message = f"no instance of the variant {variant} answers /ping; its container is started again"
    return RuntimeFailure("ServiceUnavailable", message, 503)


def throttled(variant: str, concurrency: int) -> RuntimeFailure:
    message = f"Rate exceeded: the serverless variant {variant} has its MaxConcurrency of {concurrency} invocations"
    return RuntimeFailure("ThrottlingException", message, 429)


def not_ready(target: str) -> RuntimeFailure:
    return RuntimeFailure(
        "ModelNotReadyException", f"The model {target} is still being loaded. Try your request again.", 429
    )


def model_error(region: str, endpoint: str, answer: Answer) -> RuntimeFailure:
    """Return the failure of an invocation that the container answered with 4xx or 5xx (API of the runtime, ModelError)."""
    try:
        said = answer.body.decode()
    except UnicodeDecodeError:
        said = None
    kind = "client" if 400 <= answer.status < 500 else "server"
    if said is None or len(said) > LONGEST:
        text = f"Received {kind} error ({answer.status}) from primary and could not load the entire response body"
    else:
        text = f'Received {kind} error ({answer.status}) from primary with message "{said}"'
    group = f"{ENDPOINTS}/{endpoint}"
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group}"
    members = {
        "OriginalStatusCode": answer.status,
        "OriginalMessage": (said or "")[:LONGEST],
        "LogStreamArn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}",
    }
    message = f"{text}. See {console} in account {ACCOUNT} for more information."
    return RuntimeFailure(code="ModelError", message=message, status=424, members=members)


# The answers when no container has answered. Their status is 0, and their texts come from reports of users.
LATE = Answer(
    0,
    body=b"Your invocation timed out while waiting for a response from container primary. Review the latency metrics for each "
    b"container in Amazon CloudWatch, resolve the issue, and try again.",
)
CUT_OFF = Answer(
    0,
    body=b"Amazon SageMaker could not get a response from the endpoint. This can occur when CPU or memory utilization is high. "
    b"To check your utilization, see Amazon CloudWatch. To fix this problem, use an instance type with more CPU capacity or memory.",
)
EXITED = Answer(0, body=b"An error occurred while handling request as the model process exited.")
