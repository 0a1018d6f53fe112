"""`byoc predict --endpoint NAME`: photos to an endpoint, and the same lines as from a server on this machine."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from classifier.errors import ConfigError
from launch.aws import settings
from launch.aws.errors import AwsError
from launch.aws.hosting.invocation import DEADLINE, Target, invoke, output_of
from launch.aws.session import Session
from launch.predict import Rankings, tell


class Asked:
    """An endpoint that is asked about one file after the other; it finds out once whether the endpoint is asynchronous."""

    def __init__(self, session: Session, name: str, model: str = "", deadline: float = DEADLINE) -> None:
        self._session = session
        self._target = Target(name=name, model=model, deadline=deadline)
        self._known = False

    def __call__(self, path: Path) -> Rankings:
        """Return the labels and probabilities of a file's photos."""
        try:
            found = invoke(self._session, self._target, path)
        except AwsError as error:
            # To ask first would cost every call of predict a request more.
            if self._known or not error.code.startswith("Validation"):
                raise
            self._known = True
            output = output_of(self._session, self._target.name)
            if not output:
                raise
            self._target = replace(self._target, output=output)
            found = invoke(self._session, self._target, path)
        self._known = True
        return found


def predict(session: Session, name: str, path: Path, *, target_model: str = "", timeout: float = DEADLINE) -> Rankings:
    """Return the labels and probabilities of a file's photos, best first, as an endpoint answers them."""
    return Asked(session, name, target_model, timeout)(path)


def command(options: Namespace) -> int:
    """`byoc predict --endpoint NAME`: a line for each photo; status 1 when any file failed."""
    if not options.endpoint:
        raise ConfigError("--on sagemaker needs --endpoint; byoc endpoints lists the endpoints")
    session = Session(settings.load(options))
    ask = Asked(session, options.endpoint, options.target_model or "", options.timeout)
    return tell(options.files, ask, as_json=options.json)
