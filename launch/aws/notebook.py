"""What notebooks use: the SDK's own Estimator, HyperparameterTuner and Model, filled in, and verbs as functions.

What byoc.toml names is filled in: image, role, tags, instance type, network and keys, and where the output goes. So are our
metric definitions, and the profiler and the Debugger are off. Everything is checked before an object is returned.
"""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError, DataError
from launch.aws import check, names, settings
from launch.aws.hosting import delete as hosting
from launch.aws.hosting.artifact import below
from launch.aws.hosting.delete import Doomed
from launch.aws.identity import identity
from launch.aws.images import image
from launch.aws.jobs import kinds, ranges, screen
from launch.aws.jobs import leftovers as billing
from launch.aws.jobs.events import reader
from launch.aws.jobs.leftovers import Leftover
from launch.aws.keys import KEYS
from launch.aws.requests import calls
from launch.aws.requests.hosting import model as model_request
from launch.aws.session import Session
from launch.aws.specification import Machines, Model, Training, Tuning
from train.config import Config, parse


def session(**values: Any) -> Session:
    """Return the account's session: byoc.toml and BYOC_ variables, and over them `values`, named as Settings names them.

    Raises ConfigError for a name or a value that cannot be used, and where no region is known.
    """
    for name, value in values.items():
        if name not in KEYS:
            raise ConfigError(f"there is no setting {name}; they are {', '.join(KEYS)}")
        given = list(value) if isinstance(value, tuple) else value
        values[name] = KEYS[name].value_of(given, name)
    return Session(replace(settings.load(Namespace()), **values))


def check_photos(folder: Path) -> str:
    """Decode every photo and return what was found as text; raises DataError with what would make training fail."""
    from launch import check as photos  # which needs Pillow

    findings = photos.survey(folder, Config())
    if findings["fatal"]:
        raise DataError("\n".join(findings["fatal"]))
    return photos.report(findings)


def estimator(
    session: Session,
    hyperparameters: Mapping[str, str],
    *,
    name: str = "byoc-train",
    machines: Machines | None = None,
    **members: Any,
) -> Any:
    """Return an Estimator for one job, whose name will be `name` and the time.

    `machines` stands for the instances of byoc.toml, and `members` are other fields of specification.Training. Raises ConfigError
    for hyperparameters that training refuses, and for what AWS would refuse.
    """
    training = _training(session, hyperparameters, name, machines, members)
    check.check_all(calls(training))
    objects = _sdk()
    return objects.estimator(training, objects.sdk_session(session))


def tuner(
    session: Session,
    hyperparameters: Mapping[str, str],
    *,
    vary: Sequence[str] = (),
    name: str = "byoc-tune",
    machines: Machines | None = None,
    **members: Any,
) -> Any:
    """Return a HyperparameterTuner over an Estimator of its own.

    `vary` says what is tried, as in lr=0.001:0.1:log (a range and its scale) or batch-size=64,128 (values); without it the learning
    rate, the batch size and the epochs are varied. `members` are other fields of specification.Tuning, as max_jobs and parallel.
    Raises ConfigError for what training or AWS would refuse.
    """
    training = _training(session, hyperparameters, name, machines, {})
    chosen = Namespace(
        ranges=[text for text in vary if ":" in text],
        choices=[text for text in vary if ":" not in text],
        strategy=members.get("strategy", Tuning.strategy),
    )
    tuning = Tuning(training=training, ranges=ranges.ranges(chosen, dict(hyperparameters)), **members)
    check.check_all(calls(tuning))
    objects = _sdk()
    return objects.tuner(tuning, objects.sdk_session(session))


def model(session: Session, data: str, *, name: str = "byoc", **members: Any) -> Any:
    """Return a Model over the archive at `data`; deploy() answers a Predictor that takes a photo's bytes.

    `members` are other fields of specification.Model. Raises ConfigError for what AWS would refuse.
    """
    wanted = Model(
        name=names.job(name, datetime.now(UTC)),
        image=image(session.settings, "serve"),
        identity=identity(session),
        data=data,
        **members,
    )
    check.check("CreateModel", model_request(wanted))
    objects = _sdk()
    return objects.model(wanted, objects.sdk_session(session))


def epochs(session: Session, name: str) -> list[dict[str, float]]:
    """Return the metrics of each epoch of a training job, as its log has them.

    SageMaker's own metrics in CloudWatch hold one value a minute, the average of it, and so hide short epochs. Raises AwsError.
    """
    answer = kinds.describe(session, "training", name)
    lines = reader(session, kinds.KINDS["training"], name, answer["CreationTime"].timestamp(), search="epoch=").new()
    return [found for line in lines if (found := screen.read_metrics(line.text))]


def delete(session: Session, endpoint: str) -> Doomed:
    """Delete an endpoint with all that was made for it, and return what that was; raises AwsError where nothing has the name."""
    return hosting.delete(session, hosting.of_name(session, endpoint))


def leftovers(session: Session) -> list[Leftover]:
    """Return what still bills in the region."""
    return billing.find(session)


def _training(
    session: Session,
    hyperparameters: Mapping[str, str],
    name: str,
    machines: Machines | None,
    members: Mapping[str, Any],
) -> Training:
    parse(hyperparameters)
    known = session.settings
    return Training(
        name=name,
        image=image(known, "train"),
        identity=identity(session),
        machines=machines or Machines(types=known.train_types, max_run=known.max_run),
        output=below(session, "output"),
        hyperparameters=dict(hyperparameters),
        **{"channels": (), **members},
    )


def _sdk() -> Any:
    """Return the module that makes the SDK's objects; raises ConfigError where this Python has no SDK v2."""
    from launch.aws.senders import sdk_program

    os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")  # four lines for each object
    try:
        return sdk_program.imported()
    except ImportError as error:
        raise ConfigError(
            f"this Python has no SageMaker SDK v2 ({error}); make notebook opens a notebook with one, and elsewhere "
            "`pip install 'sagemaker<3'` brings it"
        ) from None
