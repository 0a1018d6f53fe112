"""Requests sent by SageMaker's SDK, in a process of the SDK's own environment."""

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
from launch.aws.specification import Hosting, Training, Transform, Tuning

PYTHON = Path(__file__).parents[3] / ".venv-sdk" / "bin" / "python"
PROGRAM = Path(__file__).with_name("sdk_program.py")
ERRORS = {"credentials": CredentialsError, "aws": AwsError}


def python() -> Path | None:
    """Return the interpreter that has SDK v2: that of .venv-sdk, or this one; None where neither has it."""
    if PYTHON.exists():
        return PYTHON
    try:
        version = importlib.metadata.version("sagemaker")
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(sys.executable) if version.startswith("2.") else None


class SdkSender:
    """Sends by the SDK's Estimator, HyperparameterTuner, Model and Transformer."""

    def __init__(self, session: Session, python: Path) -> None:
        self._session = session
        self._python = python

    def train(self, training: Training) -> None:
        self._send(training)

    def tune(self, tuning: Tuning) -> None:
        self._send(tuning)

    def deploy(self, hosting: Hosting) -> None:
        self._send(hosting)

    def transform(self, transform: Transform) -> None:
        self._send(transform)

    def _send(self, wanted: Wanted) -> None:
        check_all(calls(wanted))
        job = {
            "wanted": type(wanted).__name__,
            "specification": plain(wanted),
            "settings": plain(self._session.settings),
        }
        done = subprocess.run(
            [self._python, "-P", PROGRAM],
            input=json.dumps(job),
            env=os.environ | {"SAGEMAKER_SUPPRESS_V2_WARNING": "1", "AWS_REGION": self._session.region},
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            last = one_line((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
            raise UserError(
                f"the SDK's process ended with status {done.returncode}: {last}; whether the request was sent is not known, "
                "byoc jobs tells; --sender boto3 goes without the SDK"
            ) from None
        if "error" in answer:
            kind = ERRORS.get(answer["kind"])
            raise kind(answer["error"], answer["code"]) if kind else ConfigError(answer["error"])
