"""For notebooks: the account's session, and ready-made objects of the SDK. Profiler and Debugger are off.

    import launch

    photos = "s3://bucket/photos/"
    estimator = launch.estimator(hyperparameters={"epochs": 5})
    estimator.fit(launch.channels(photos))
    predictor = launch.model(estimator.model_data).deploy(1, "ml.m5.large")

Each function also takes a specification of launch/aws/specification.py instead. Needs SDK v2 in the notebook's own environment.
"""

import dataclasses
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from classifier.errors import ConfigError
from launch.aws import buckets, names, specification
from launch.aws import settings as account_settings
from launch.aws.check import check_all
from launch.aws.identity import identity
from launch.aws.images import image
from launch.aws.jobs.ranges import original
from launch.aws.keys import KEYS
from launch.aws.requests import calls, hosting
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import Channel, InputMode, Machines, Range, Training, Tuning
from train.config import searched

PHOTOS = "training"  # name of the channel for the photos; each folder in it is a split


def session(**values: Any) -> Session:
    """Return the account's session. Its settings come from byoc.toml and the BYOC_ variables; `values` replace them.

    `values` are named as the fields of Settings.

    Raises ConfigError for a name or a value that cannot be used, and if no region is known.
    """
    for name, value in values.items():
        if name not in KEYS:
            raise ConfigError(f"there is no setting {name}; the settings are {', '.join(KEYS)}")
        values[name] = KEYS[name].value_of(list(value) if isinstance(value, tuple) else value, name)
    return Session(dataclasses.replace(account_settings.load(Namespace()), **values))


def channels(data: str | Training | Tuning, mode: InputMode = "File") -> dict[str, Any]:
    """Return the inputs for fit(), from a specification, or from an S3 prefix that holds train/, validation/ and test/."""
    objects = _objects()
    if isinstance(data, Tuning):
        data = data.training
    found = data.channels if isinstance(data, Training) else (Channel(name=PHOTOS, uri=_prefix(data), mode=mode),)
    return {channel.name: objects.training_input(channel) for channel in found}


def estimator(
    training: Training | None = None,
    *,
    hyperparameters: Mapping[str, object] | None = None,
    machines: Machines | None = None,
    name: str = "byoc-train",
    settings: Settings | None = None,
) -> Any:
    """Return an Estimator, made from a specification, or from byoc.toml and the arguments. The name of its job begins with `name`.

    Raises ConfigError for values that AWS or the training program would refuse.
    """
    session = _session(settings)
    wanted = training or _training(name, session, hyperparameters or {}, machines)
    if len(wanted.machines.types) > 1:
        raise ConfigError(f"an Estimator takes one instance type, and {len(wanted.machines.types)} are named; name one")
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
    """Return a HyperparameterTuner, made from a specification, or from byoc.toml and the arguments.

    `ranges` are the SDK's own parameters by name, as in {"lr": ContinuousParameter(0.001, 0.1)}; without them it searches the
    default ranges. The arguments are many because a notebook gives them all in one call, as to the SDK's own tuner. Raises
    ConfigError for values that AWS or the training program would refuse.
    """
    session = _session(settings)
    objects = _objects()
    if tuning is None:
        fixed = hyperparameters or {}
        varied = tuple(map(objects.from_parameter, ranges, ranges.values())) if ranges else _original(fixed)
        training = _training(name, session, fixed, machines)
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
    """Return a Model, made from a specification, or from an artifact s3://.../model.tar.gz, byoc.toml and the arguments.

    Its deploy() returns a Predictor that takes a photo's bytes. Raises ConfigError for values that AWS would refuse.
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
    check_all([("CreateModel", hosting.model(model))])
    return _objects().model(model, _sdk_session(session, model.identity.tags))


def _original(hyperparameters: Mapping[str, object]) -> tuple[Range, ...]:
    return original(searched({name: str(value) for name, value in hyperparameters.items()}))


def _prefix(uri: str) -> str:
    return uri if uri.endswith("/") else f"{uri}/"


def _training(
    name: str, session: Session, hyperparameters: Mapping[str, object], machines: Machines | None
) -> Training:
    settings = session.settings
    return Training(
        name=names.endpoint(name),
        image=image(settings, "train"),
        identity=identity(session),
        machines=machines or Machines(types=settings.train_types[:1], max_run=settings.max_run),
        channels=(),
        output=f"s3://{buckets.named(settings)}/{settings.prefix}/output",
        hyperparameters={key: str(value) for key, value in hyperparameters.items()},
    )


def _session(settings: Settings | None) -> Session:
    return Session(account_settings.load(Namespace()) if settings is None else settings)


def _sdk_session(session: Session, tags: Mapping[str, str]) -> Any:
    """Return the SDK's session. Its endpoints do not send detailed metrics, which cost money."""
    events = session.client("sagemaker").meta.events
    events.register("provide-client-params.sagemaker.CreateEndpointConfig", _without_detailed_metrics)
    return _objects().sdk_session(session, tags)


def _without_detailed_metrics(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    # AWS turns detailed metrics on in new configurations, and each GB of them costs money. The SDK has no setting for them.
    if any("ServerlessConfig" in variant for variant in params["ProductionVariants"]):
        return params
    return {"MetricsConfig": {"EnableDetailedObservability": False}, **params}


def _objects() -> Any:
    """Import the SDK. Raises ConfigError if this environment does not have it."""
    try:
        from launch.aws.senders import sdk_objects
    except ImportError as error:
        raise ConfigError(
            f"this needs SageMaker's SDK v2 ({error}); make notebook opens a notebook with it; elsewhere, run pip install 'sagemaker<3'"
        ) from None
    return sdk_objects
