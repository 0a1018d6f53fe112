"""Sends requests with boto3, unchanged."""

import re

from launch.aws.check import check_all
from launch.aws.errors import explained
from launch.aws.requests import Call, Wanted, calls
from launch.aws.session import Session


class BotoSender:
    """Sends a specification's requests with boto3, as senders/__init__.py describes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def send(self, wanted: Wanted) -> None:
        requests = calls(wanted)
        check_all(requests)
        client = self._session.client("sagemaker")
        for operation, request in requests:
            with explained(thing((operation, request))):
                getattr(client, re.sub("(?<!^)(?=[A-Z])", "_", operation).lower())(**request)


def thing(call: Call) -> str:
    """Return the name of the resource that a call makes, for errors, as in: training job dogs-1."""
    operation, request = call
    kind = operation.removeprefix("Create")
    words = re.sub("(?<!^)(?=[A-Z])", " ", kind).lower().replace("hyper parameter tuning", "tuning")
    return f"{words} {request[f'{kind}Name']}"
