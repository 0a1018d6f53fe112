"""Senders of requests: one uses boto3, one uses SageMaker's SDK v2 in its own environment."""

from typing import Literal, Protocol

from classifier.errors import ConfigError
from launch.aws.requests import Wanted
from launch.aws.session import Session

Choice = Literal["auto", "sdk", "boto3"]


class Sender(Protocol):
    """Sends the requests of a specification."""

    def send(self, wanted: Wanted) -> None:
        """Check the requests, send them, and return when AWS has accepted them, without waiting for the jobs that they start.

        Raises ConfigError for a request that AWS would refuse, and AwsError for a request that AWS has refused. After Ctrl-C it raises
        KeyboardInterrupt. Then no request is still under way, unless AWS does not answer.
        """


def sender(session: Session, choice: Choice = "auto") -> Sender:
    """Return the SDK's sender if the SDK is installed, else boto3's.

    Raises ConfigError if the user chose the SDK and it is not installed.
    """
    from launch.aws.senders import sdk
    from launch.aws.senders.boto import BotoSender

    python = None if choice == "boto3" else sdk.python()
    if python is None and choice == "sdk":
        raise ConfigError(
            f"SageMaker's SDK is not installed: {sdk.PYTHON} is missing; make it with make sdk, or pass --sender boto3"
        )
    return sdk.SdkSender(session, python) if python else BotoSender(session)
