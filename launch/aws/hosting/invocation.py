"""Sends one photo to an endpoint through the SageMaker runtime. The answer comes at once, or through S3 if the endpoint is asynchronous."""

import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from classifier.errors import UserError
from classifier.names import one_line
from launch.aws.buckets import encryption, split
from launch.aws.errors import AwsError, explain, explained
from launch.aws.session import Session
from launch.predict import Rankings, content_type, rankings, read, sentence

LOADING = 360.0  # the longest time for which a multi-model endpoint loads a model, in seconds (AWS's guide, invoke-multi-model-endpoint)
PAUSE, LONGEST_PAUSE = 0.25, 5.0  # seconds between two reads of S3: the first and the longest pause
DEADLINE = 900.0  # default time limit of an asynchronous invocation, in seconds (InvocationTimeoutSeconds of the API)


@dataclass(frozen=True, kw_only=True)
class Target:
    """The endpoint and the model that receive a request. `output` is the S3 prefix of an asynchronous endpoint's answers."""

    name: str
    model: str = ""  # the archive's key below a multi-model endpoint's prefix
    output: str = ""
    deadline: float = DEADLINE
    top_k: int = 0  # the most labels for a photo; 0 means the endpoint's default

    @property
    def attributes(self) -> dict[str, str]:
        """The parameters that a request has beside the photo."""
        return {"CustomAttributes": f"top_k={self.top_k}"} if self.top_k else {}


def invoke(session: Session, target: Target, path: Path) -> Rankings:
    """Return the labels and probabilities of a file's photos.

    Raises UserError with the serving program's message if it refuses the file, and AwsError for a problem that every other file would meet
    too.
    """
    if target.output:
        return _through_s3(session, target, path)
    body, given_up = read(path), time.monotonic() + LOADING
    request = {"EndpointName": target.name, "Body": body, "ContentType": content_type(path)}
    request |= target.attributes
    if target.model:
        request["TargetModel"] = target.model
    while True:
        try:
            answer = session.client("sagemaker-runtime").invoke_endpoint(**request)
        except Exception as error:
            if _code(error) == "ModelNotReadyException" and time.monotonic() < given_up:
                time.sleep(LONGEST_PAUSE)
                continue
            raise _refusal(target, path, error) from None
        return rankings(answer["Body"].read(), f"the endpoint {target.name}")


def output_of(session: Session, name: str) -> str:
    """Return the S3 prefix of an asynchronous endpoint's answers, or an empty text for another endpoint.

    Raises AwsError if the endpoint does not exist, or if it cannot answer because it is being created, has failed or is out of service.
    """
    from launch.aws.hosting import (
        endpoint,  # imported here, because an endpoint that answers at once does not need it
    )

    found = endpoint.find(session, name)
    if found is None:
        raise AwsError(
            f"there is no endpoint {name} in {session.region}; byoc endpoints lists the endpoints", "NotFound"
        )
    if found.status in ("Creating", "Failed", "OutOfService", "Deleting"):
        reason = f": {one_line(found.reason)}" if found.reason else ""
        raise AwsError(f"the endpoint {name} is {found.status} and does not answer{reason}; byoc logs {name} says more")
    return found.output


def _through_s3(session: Session, target: Target, path: Path) -> Rankings:
    s3, (bucket, prefix) = session.client("s3"), split(target.output)
    key = "/".join(filter(None, [prefix.strip("/"), "requests", uuid.uuid4().hex]))
    with explained(f"s3://{bucket}/{key}"):
        kind = content_type(path)
        s3.put_object(Bucket=bucket, Key=key, Body=read(path), ContentType=kind, **encryption(session.settings))
    try:
        with explained(f"endpoint {target.name}"):
            answer = session.client("sagemaker-runtime").invoke_endpoint_async(
                EndpointName=target.name,
                InputLocation=f"s3://{bucket}/{key}",
                ContentType=content_type(path),
                **target.attributes,
            )
        return _awaited(session, target, path, answer)
    finally:
        try:
            with explained(f"s3://{bucket}/{key}"):
                s3.delete_object(Bucket=bucket, Key=key)
        except AwsError as error:  # a photo that stays in S3 is no reason to lose the answer
            print(f"byoc: note: the photo that was sent stays in S3: {error}", file=sys.stderr)


def _awaited(session: Session, target: Target, path: Path, accepted: dict[str, Any]) -> Rankings:
    """Wait for the answer in S3 and return it. SageMaker writes a failure to another address, so both addresses are read."""
    given_up, pause = time.monotonic() + target.deadline, PAUSE
    failure = accepted.get("FailureLocation", "")
    while True:
        if (found := _read(session, accepted["OutputLocation"])) is not None:
            return rankings(found, f"the endpoint {target.name}")
        if failure and (found := _read(session, failure)) is not None:
            raise UserError(f"{one_line(path)}: {_said(found.decode(errors='replace'))}")
        if time.monotonic() >= given_up:
            where = accepted["OutputLocation"] + (f" and no failure at {failure}" if failure else "")
            raise AwsError(
                f"{one_line(path)}: after {target.deadline:.0f} s there is no answer at {where}; wait longer with --timeout, "
                f"see byoc logs {target.name}, or allow reading these keys of S3 and listing their bucket"
            )
        time.sleep(min(pause, max(0.0, given_up - time.monotonic())))
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _read(session: Session, uri: str) -> bytes | None:
    """Return an object's bytes, or None if it is not there yet."""
    bucket, key = split(uri)
    with explained(uri):
        try:
            return bytes(session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
        except ClientError as error:
            # Without the permission s3:ListBucket, S3 answers 403 for a missing key.
            if _code(error) in ("NoSuchKey", "404", "AccessDenied", "403"):
                return None
            raise


def _refusal(target: Target, path: Path, error: Exception) -> Exception:
    """Return the error to raise for a refused invocation. Its message gives the reason."""
    name, code = one_line(path), _code(error)
    if isinstance(error, ClientError):
        if code == "ModelError":
            status = error.response.get("OriginalStatusCode", 0)
            said = sentence(error.response.get("OriginalMessage", "")) or one_line(error.response["Error"]["Message"])
            more = f"; byoc logs {target.name} says more" if status >= 500 or not status else ""
            return UserError(f"{name}: {status or 'no answer'} {said[:500]}{more}")
        if code == "413" or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 413:
            return UserError(
                f"{name}: {path.stat().st_size:,} bytes are too many for the endpoint {target.name}; make the photo smaller, "
                "or deploy with --async, whose requests go through S3"
            )
    return explain(error, f"endpoint {target.name}") or error


def _said(failure: str) -> str:
    """Return the serving program's error message from the file that SageMaker writes at the failure location."""
    inner = failure.partition('with message "')[2].rpartition('"')[0]
    return sentence(inner) or one_line(failure.strip())[:500]


def _code(error: BaseException) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
