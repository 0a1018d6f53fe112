"""What a notebook needs beside the objects of the SDK, as functions over one session; launch.verbs has each verb of the command line.

`launch.upload`, `launch.follow` and `launch.best_of` stand where the command line has them.
"""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError, DataError
from launch.aws import settings
from launch.aws.hosting import delete as hosting
from launch.aws.hosting.delete import Doomed
from launch.aws.jobs import kinds, screen
from launch.aws.jobs import leftovers as billing
from launch.aws.jobs.events import reader
from launch.aws.jobs.leftovers import Leftover
from launch.aws.keys import KEYS
from launch.aws.session import Session
from train.config import Config


def session(**values: Any) -> Session:
    """Return the account's session: byoc.toml and BYOC_ variables, and over them `values`, named as Settings names them.

    Raises ConfigError for a name or a value that cannot be used, and where no region is known.
    """
    for name, value in values.items():
        if name not in KEYS:
            raise ConfigError(f"there is no setting {name}; they are {', '.join(KEYS)}")
        values[name] = KEYS[name].value_of(list(value) if isinstance(value, tuple) else value, name)
    return Session(replace(settings.load(Namespace()), **values))


def check_photos(folder: Path) -> str:
    """Decode every photo and return what was found as text; raises DataError with what would make training fail."""
    from launch import check  # which needs Pillow

    findings = check.survey(folder, Config())
    if findings["fatal"]:
        raise DataError("\n".join(findings["fatal"]))
    return check.report(findings)


def epochs(session: Session, name: str) -> list[dict[str, float]]:
    """Return the metrics of each epoch of a training job, as its log has them; raises AwsError.

    SageMaker's own metrics in CloudWatch hold one value a minute, the average of it, and so hide short epochs.
    """
    answer = kinds.describe(session, "training", name)
    lines = reader(session, kinds.KINDS["training"], name, answer["CreationTime"].timestamp(), search="epoch=").new()
    return [found for line in lines if (found := screen.read_metrics(line.text))]


def delete(session: Session, name: str) -> Doomed:
    """Delete an endpoint with all that was made for it, or one configuration or model, and return what that was.

    Raises AwsError where nothing has the name, and for what a live endpoint uses.
    """
    return hosting.delete(session, hosting.of_name(session, name))


def leftovers(session: Session) -> list[Leftover]:
    """Return what still bills in the region, and the endpoints that have lost what they need."""
    return billing.find(session)
