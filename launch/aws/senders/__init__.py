"""What carries requests out: boto3, or SDK v2 in an environment of its own."""

from typing import Literal, Protocol

from classifier.errors import ConfigError
from launch.aws.session import Session
from launch.aws.specification import Hosting, Training, Transform, Tuning

Choice = Literal["auto", "sdk", "boto3"]


class Sender(Protocol):
    """Sends the create calls of a specification, and returns when AWS has accepted them.

    Every method checks the requests first. Raises ConfigError for what AWS would refuse, AwsError for what it did refuse.
    """

    def train(self, training: Training) -> None: ...
    def tune(self, tuning: Tuning) -> None: ...
    def deploy(self, hosting: Hosting) -> None: ...
    def transform(self, transform: Transform) -> None: ...


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
