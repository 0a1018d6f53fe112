"""The SDK's process: reads a job as JSON on standard input, sends it by the SDK's objects, and answers with one line of JSON.

    {"wanted": "Training", "specification": {...}, "settings": {...}}   ->   {}   or   {"error": ..., "kind": ..., "code": ...}

senders/sdk.py runs this file with the interpreter of the SDK's environment; our packages are found by the file's path.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

if __name__ == "__main__":
    # Our folder goes to the end of the path, so that the packages of the SDK's environment come first.
    sys.path.append(str(Path(__file__).parents[3]))

import boto3

from classifier.errors import UserError
from launch.aws import specification
from launch.aws.errors import AwsError, CredentialsError, explain, explained, one_line
from launch.aws.requests import calls
from launch.aws.senders.boto import thing
from launch.aws.senders.differences import filled, unlike
from launch.aws.senders.wire import typed
from launch.aws.session import Session
from launch.aws.settings import Settings


class Exit:
    """Ends the process on SIGTERM. It ends at once, or after the answer if a request is under way.

    After that nothing more is made, so the sender of SIGTERM can ask AWS which resources exist.
    """

    def __init__(self) -> None:
        self._sending = self._wanted = False

    def terminated(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGTERM. Raises KeyboardInterrupt if no request is under way."""
        self._wanted = True
        if not self._sending:
            raise KeyboardInterrupt

    def sends(self) -> None:
        """Note that a request is sent."""
        self._sending = True

    def answered(self, **_: Any) -> None:
        """Note that a request has ended, with or without an answer. Raises KeyboardInterrupt if SIGTERM came in the meantime."""
        self._sending = False
        if self._wanted:
            raise KeyboardInterrupt


def main() -> None:
    """Send the job that standard input describes. An error is printed as an answer, never as a traceback."""
    answers = os.dup(1)
    os.dup2(2, 1)  # texts that the SDK prints do not belong to the answer
    way_out = Exit()
    try:
        signal.signal(signal.SIGTERM, way_out.terminated)
        job = json.load(sys.stdin)
        wanted = typed(getattr(specification, job["wanted"]), job["specification"])
        send(wanted, Session(typed(Settings, job["settings"])), way_out)
        answer = {}
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGTERM)
    except UserError as error:
        kind = (
            "credentials" if isinstance(error, CredentialsError) else "aws" if isinstance(error, AwsError) else "user"
        )
        answer = {"error": str(error), "kind": kind, "code": getattr(error, "code", "")}
    except Exception as error:
        found = explain(error, "the request")
        kind = "credentials" if isinstance(found, CredentialsError) else "aws"
        answer = {"error": str(found or f"the SDK cannot send the job: {one_line(error)}"), "kind": kind, "code": ""}
    os.write(answers, json.dumps(answer).encode() + b"\n")


def send(wanted: Any, session: Session, way_out: Exit) -> None:
    """Send a specification with the SDK's objects, and return when AWS has accepted it."""
    planned = dict(calls(wanted))
    watch(session.client("sagemaker"), planned, overrides(wanted), way_out)
    objects = sdk_objects()
    made = objects.sdk_session(session)
    if isinstance(wanted, specification.Training):
        objects.estimator(wanted, made).fit(objects.inputs(wanted), wait=False, logs=False, job_name=wanted.name)
    elif isinstance(wanted, specification.Tuning):
        tuner = objects.tuner(wanted, made)
        tuner.fit(objects.inputs(wanted.training), job_name=wanted.training.name, wait=False)
    elif isinstance(wanted, specification.Hosting):
        objects.model(wanted.model, made).deploy(**objects.deployment(wanted, made), wait=False)
    else:
        objects.transformer(wanted, made).transform(
            wanted.source,
            content_type=wanted.content_type,
            split_type=wanted.split or None,
            job_name=wanted.name,
            wait=False,
            logs=False,
        )


def sdk_objects() -> Any:
    """Import the SDK and return the module that makes its objects."""
    session = boto3.Session
    # Trap: during the import the SDK makes a session, whose clients look for any credentials on the machine.
    boto3.Session = _refused
    # jsonschema imports this module for formats that are not checked here. It builds 38 grammars, which takes 1.4 of the SDK's 3.3 s of
    # CPU.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        import sagemaker.utils

        from launch.aws.senders import sdk_objects as objects
    finally:
        boto3.Session = session
    # The SDK reads its configuration 16 times for one job and validates it each time, which takes 1 s of CPU in all. We made this
    # configuration, so it needs no validation.
    sagemaker.utils.validate_sagemaker_config = lambda config: None
    return objects


def _refused(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the SDK's import needs no session")


def overrides(wanted: Any) -> dict[str, Any]:
    """Return the user's overrides by operation."""
    if isinstance(wanted, specification.Tuning):
        return dict(wanted.training.overrides)
    if isinstance(wanted, specification.Hosting):
        return {**wanted.overrides, **wanted.model.overrides}
    return dict(wanted.overrides)


def watch(client: Any, planned: dict[str, Any], changes: dict[str, Any], way_out: Exit) -> None:
    """Let a client send only planned requests, and raise AWS's refusals as they are."""

    def fill(params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any] | None:
        if model.name not in planned:
            return None
        ours = planned[model.name]
        request = filled(model.name, params, ours, changes)
        if found := list(unlike(request, ours)):
            raise UserError(
                f"this SDK would send a {model.name} that differs from the plan, in {', '.join(found)}; nothing was sent, pass "
                "--sender boto3"
            )
        return request

    def refuse(model: Any, **_: Any) -> None:
        if model.name not in planned and not model.name.startswith(("Describe", "List")):
            raise UserError(f"the SDK would also send {model.name}, which is not planned; pass --sender boto3")
        if model.name in planned:
            way_out.sends()

    def stop(http_response: Any, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        # Trap: if a model of this name exists, the SDK uses it, although it may be another model.
        if http_response.status_code >= 300:
            with explained(thing((model.name, planned[model.name])) if model.name in planned else model.name):
                raise client.exceptions.from_code(parsed["Error"]["Code"])(parsed, model.name)

    client.meta.events.register("provide-client-params.sagemaker", fill)
    client.meta.events.register("before-call.sagemaker", refuse)
    client.meta.events.register("after-call.sagemaker", way_out.answered)
    client.meta.events.register("after-call.sagemaker", stop)
    client.meta.events.register("after-call-error.sagemaker", way_out.answered)


if __name__ == "__main__":
    main()
