"""Sends requests with SageMaker's SDK, in a process that runs in the SDK's own environment."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

from classifier.errors import ConfigError, UserError
from launch.aws.check import check_all
from launch.aws.errors import AwsError, CredentialsError, one_line
from launch.aws.requests import Wanted, calls
from launch.aws.senders.wire import plain
from launch.aws.session import Session
from launch.child import ends_with_us

PYTHON = Path(__file__).parents[3] / ".venv-sdk" / "bin" / "python"
PROGRAM = Path(__file__).with_name("sdk_program.py")
ANSWER = 15.0  # seconds to wait for AWS's answer after Ctrl-C; it usually comes within one or two
ERRORS = {"credentials": CredentialsError, "aws": AwsError}


def python() -> Path | None:
    """Return an interpreter that has SDK v2: that of .venv-sdk, or else this one. None if neither has the SDK."""
    if PYTHON.exists():
        return PYTHON
    try:
        version = importlib.metadata.version("sagemaker")
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(sys.executable) if version.startswith("2.") else None


class SdkSender:
    """Sends a specification with the SDK's Estimator, HyperparameterTuner, Model and Transformer, as senders/__init__.py describes."""

    def __init__(self, session: Session, python: Path) -> None:
        self._session = session
        self._python = python

    def send(self, wanted: Wanted) -> None:
        check_all(calls(wanted))
        job = {
            "wanted": type(wanted).__name__,
            "specification": plain(wanted),
            "settings": plain(self._session.settings),
        }
        # The SDK's process gets its own session. Ctrl-C at a terminal then reaches only this process, which ends the SDK's process
        # properly.
        process = subprocess.Popen(
            ends_with_us([str(self._python), "-P", str(PROGRAM)]),
            env=os.environ | {"SAGEMAKER_SUPPRESS_V2_WARNING": "1", "AWS_REGION": self._session.region},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                output, errors = process.communicate(json.dumps(job))
            except BaseException:
                _end(process)
                raise
        try:
            answer = json.loads(output)
        except ValueError:
            last = one_line((errors.strip().splitlines() or ["it said nothing"])[-1])
            raise UserError(
                f"the SDK's process ended with status {process.returncode}: {last}; byoc jobs shows whether the request "
                "was sent; --sender boto3 works without the SDK"
            ) from None
        if "error" in answer:
            kind = ERRORS.get(answer["kind"])
            raise kind(answer["error"], answer["code"]) if kind else ConfigError(answer["error"])


def _end(process: "subprocess.Popen[str]") -> None:
    """End the SDK's process with SIGTERM. If a request is under way, the process first waits for the answer. It sends no other request."""
    process.terminate()
    try:
        process.communicate(timeout=ANSWER)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):  # AWS does not answer, or the user pressed Ctrl-C again
        process.kill()
