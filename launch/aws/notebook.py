"""The SDK's own objects for notebooks, filled in: image, role, metrics, ranges, names, tags; profiler and Debugger off.

    import launch

    photos = "s3://bucket/photos/"
    estimator = launch.estimator(hyperparameters={"epochs": 5})
    estimator.fit(launch.channels(photos))
    predictor = launch.model(estimator.model_data).deploy(1, "ml.m5.large")

Each takes a specification of launch/aws/specification.py instead. Needs SDK v2 in the notebook's own environment.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from classifier.errors import ConfigError
from launch.aws import names, specification
from launch.aws import settings as account_settings
from launch.aws.check import check_all
from launch.aws.identity import identity
from launch.aws.images import Kind, image
from launch.aws.requests import calls
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import Channel, InputMode, Machines, Range, Training, Tuning
from train.config import TUNING_RANGES, searched

PHOTOS = "training"  # the channel whose folders are the splits


def channels(data: str | Training | Tuning, mode: InputMode = "File") -> dict[str, Any]:
    """Return what fit() takes: of photos below an S3 prefix, in train/, validation/ and test/, or of a specification."""
    objects = _objects()
    if isinstance(data, str):
        data = _training("photos", None, {}, None, account_settings.Settings(), data, mode)
    found: dict[str, Any] = objects.inputs(data.training if isinstance(data, Tuning) else data)
    return found


def estimator(
    training: Training | None = None,
    *,
    hyperparameters: Mapping[str, object] | None = None,
    machines: Machines | None = None,
    name: str = "byoc-train",
    settings: Settings | None = None,
) -> Any:
    """Return an Estimator: of a specification, or of byoc.toml and what is given here. `name` begins its job's name.

    Raises ConfigError for what AWS or the training program would refuse.
    """
    session = _session(settings)
    wanted = training or _training(name, session, hyperparameters or {}, machines, session.settings)
    _one_type(wanted)
    check_all(calls(wanted))
    return _objects().estimator(wanted, _sdk_session(session, wanted.identity.tags))


def tuner(
    tuning: Tuning | None = None,
    *,
    ranges: Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, object] | None = None,
    machines: Machines | None = None,
    max_jobs: int = 8,
    parallel: int = 2,
    name: str = "byoc-tune",
    settings: Settings | None = None,
) -> Any:
    """Return a HyperparameterTuner: of a specification, or of byoc.toml and what is given here.

    `ranges` are the SDK's own parameters by name, as in {"lr": ContinuousParameter(0.001, 0.1)}; without them the space of
    the original work. Raises ConfigError for what AWS or the training program would refuse.
    """
    session = _session(settings)
    objects = _objects()
    if tuning is None:
        fixed = hyperparameters or {}
        varied = tuple(map(objects.from_parameter, ranges, ranges.values())) if ranges else original(fixed)
        training = _training(name, session, fixed, machines, session.settings)
        tuning = Tuning(training=training, ranges=varied, max_jobs=max_jobs, parallel=parallel)
    check_all(calls(tuning))
    return objects.tuner(tuning, _sdk_session(session, tuning.training.identity.tags))


def model(
    model: specification.Model | str,
    *,
    name: str = "byoc",
    environment: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Any:
    """Return a Model: of a specification, or of an artifact s3://.../model.tar.gz with byoc.toml and what is given here.

    deploy() answers a Predictor that takes a photo's bytes. Raises ConfigError for what AWS would refuse.
    """
    session = _session(settings)
    if isinstance(model, str):
        model = specification.Model(
            name=names.job(name, datetime.now(UTC)),
            image=image(session.settings, "serve"),
            identity=identity(session),
            data=model,
            environment=environment or {},
        )
    check_all([("CreateModel", _request(model))])
    return _objects().model(model, _sdk_session(session, model.identity.tags))


def original(hyperparameters: Mapping[str, object]) -> tuple[Range, ...]:
    """Return the original work's space, of the hyperparameters that are not fixed."""
    found = []
    for name in searched({key: str(value) for key, value in hyperparameters.items()}):
        space = TUNING_RANGES[name]
        if "choices" in space:
            found.append(Range(name=name, values=tuple(map(str, space["choices"]))))
        else:
            scale = "Logarithmic" if space["log"] else "Auto"
            found.append(Range(name=name, low=str(space["low"]), high=str(space["high"]), scale=scale))
    return tuple(found)
