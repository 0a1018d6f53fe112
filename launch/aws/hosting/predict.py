"""`byoc predict --endpoint NAME`: sends photos to an endpoint, and prints the answers as for a server on this machine."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from classifier.errors import ConfigError
from classifier.names import one_line
from launch.aws import names, settings
from launch.aws.errors import AwsError
from launch.aws.hosting.invocation import DEADLINE, Target, invoke, output_of
from launch.aws.session import Session
from launch.predict import Rankings, tell


class Client:
    """Sends files to an endpoint, one after the other. It finds out only once whether the endpoint is asynchronous.

    Raises ConfigError for a name that no endpoint can have, such as the address of a server.
    """

    def __init__(self, session: Session, target: Target) -> None:
        if not names.is_legal(target.name):
            raise ConfigError(
                f"{one_line(target.name)!r} cannot be the name of an endpoint, which has at most {names.LONGEST} {names.ALLOWED}; "
                "byoc endpoints lists the endpoints"
            )
        self._session, self._target = session, target
        self._known = False

    def __call__(self, path: Path) -> Rankings:
        """Return the labels and probabilities of a file's photos."""
        try:
            found = invoke(self._session, self._target, path)
        except AwsError as error:
            # The endpoint is looked up only after a refusal, because a look-up before would cost every call of predict one more request.
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
    """Return an endpoint's answer to a file: the labels and probabilities of its photos, best first."""
    return Client(session, Target(name=name, model=target_model, deadline=timeout))(path)


def command(options: Namespace) -> int:
    """`byoc predict --endpoint NAME`: prints a line for each photo. Returns status 1 if any file failed."""
    if not options.endpoint:
        raise ConfigError("--on sagemaker needs --endpoint; byoc endpoints lists the endpoints")
    session = Session(settings.load(options))
    target = Target(name=options.endpoint, model=options.target_model or "", deadline=options.timeout)
    ask = Client(session, target)
    return tell(options.files, ask, as_json=options.json)
