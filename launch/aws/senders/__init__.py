"""Senders of requests: boto3, and SageMaker's SDK v2 in an environment of its own."""

from typing import Literal, Protocol

from classifier.errors import ConfigError
from launch.aws.requests import Wanted
from launch.aws.session import Session

Choice = Literal["auto", "sdk", "boto3"]


class Sender(Protocol):
    """Sends the requests of a specification."""

    def send(self, wanted: Wanted) -> None:
        """Check the requests, send them, and return when AWS has accepted them; nothing waits for what they start.

        Raises ConfigError for what AWS would refuse and AwsError for what it did refuse. After Ctrl-C it raises
        KeyboardInterrupt, and then none of its requests is still on its way, except where AWS does not answer.
        """


def sender(session: Session, choice: Choice = "auto") -> Sender:
    """Return the SDK's sender where the SDK is installed, else boto3's.

    Raises ConfigError where the SDK is asked for and missing.
    """
    from launch.aws.senders import sdk
    from launch.aws.senders.boto import BotoSender

    python = None if choice == "boto3" else sdk.python()
    if python is None and choice == "sdk":
        raise ConfigError(
            f"SageMaker's SDK is not installed: {sdk.PYTHON} is missing; make it with make sdk, or pass --sender boto3"
        )
    return sdk.SdkSender(session, python) if python else BotoSender(session)
