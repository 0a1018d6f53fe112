"""The errors of AWS, each as one sentence with a remedy and an exit status.

AwsError              1    anything that AWS refuses
└── CredentialsError  3    credentials that are missing, expired or not valid; jobs and endpoints keep running
Detached            130    Ctrl-C while a job or endpoint runs, which keeps running (143 after SIGTERM, 129 after SIGHUP)
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from classifier.errors import UserError

CREDENTIALS_STATUS = 3


class AwsError(UserError):
    """A request that AWS refused, or that did not reach AWS. `code` is AWS's error code, or empty."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class CredentialsError(AwsError):
    """Credentials that are missing, expired or not valid."""

    exit_status = CREDENTIALS_STATUS


class Detached(KeyboardInterrupt):
    """Ctrl-C while a job or an endpoint runs in AWS. The text says that it keeps running, how to follow it and how to stop it."""

    def __init__(self, text: str, number: int = 0) -> None:
        # The only argument is the signal's number, from which launch.cli makes the exit status.
        super().__init__(*([number] if number else []))
        self.text = text

    def __str__(self) -> str:
        return self.text


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn errors that boto3 raises in the block into AwsError or CredentialsError; `what` names the thing, as in "training job x"."""
    try:
        yield
    except Exception as error:
        found = explain(error, what)
        if found is None:
            raise
        raise found from None


def explain(error: BaseException, what: str) -> AwsError | None:
    """Return our error for an error about `what` that boto3 or botocore raised; None for any other error."""
    from boto3.exceptions import Boto3Error, S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    from launch.aws import no_answer, refusals

    if isinstance(error, S3UploadFailedError) and isinstance(error.__context__, ClientError | BotoCoreError):
        error = error.__context__
    if isinstance(error, ClientError):
        return refusals.explain(error, what)
    if isinstance(error, BotoCoreError):
        return no_answer.explain(error, what)
    if isinstance(error, Boto3Error):
        return AwsError(f"{what}: {one_line(error)}")
    return None


def one_line(text: object, longest: int = 600) -> str:
    """Return a text of AWS or botocore as one line, without its last full stop."""
    line = re.sub(r"\s+", " ", str(text)).strip().rstrip(".")
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def code_of(error: Any) -> str:
    """Return the code of a botocore ClientError."""
    return str(error.response.get("Error", {}).get("Code", ""))
