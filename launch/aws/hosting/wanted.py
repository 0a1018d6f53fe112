"""The endpoint that a user wants, and checks for options that exclude each other."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from classifier.errors import ConfigError
from launch.aws import overrides
from launch.aws.hosting import scaling
from launch.aws.hosting.before import Before
from launch.aws.session import Session
from launch.aws.specification import Alarms, Autoscale, EndpointKind
from launch.aws.texts import items, pairs

OVERRIDDEN = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint")
BAKE = 300  # seconds for which the alarms watch new instances before the old ones end


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The endpoint that a user wants.

    A value that is None or empty was not given: an update leaves the setting as it is, and a new endpoint gets the default.
    """

    endpoint: str
    model: str = ""  # the model's source, in a form that artifact.find accepts
    package: str = ""  # ARN of a version in the model registry
    group: str = ""  # a group in the registry; its newest approved version is deployed
    kind: EndpointKind | None = None
    prefix: str = ""  # the S3 prefix of a multi-model endpoint's archives
    memory: int | None = None
    concurrency: int | None = None
    types: tuple[str, ...] = ()
    count: int | None = None
    inference_ami: str = ""  # "none" means that SageMaker chooses the AMI
    start_seconds: int | None = None
    download_seconds: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    autoscale: str = ""  # numbers of instances as MIN:MAX
    target: float | None = None
    to_zero: bool = False
    alarms: Alarms | None = None
    capture: int | None = None  # percentage of requests to keep; 0 ends capturing
    life: float | None = None  # hours until the endpoint's life ends
    bake: int | None = None
    run: str = ""  # the name of the `byoc run` that makes the endpoint
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def has_model(self) -> bool:
        return bool(self.model or self.package or self.group or self.prefix)


def read(options: Namespace) -> Wanted:
    """Return the endpoint that the command line describes."""
    chosen: EndpointKind | None = None
    if options.serverless:
        chosen = "serverless"
    elif options.asynchronous:
        chosen = "async"
    elif options.multi_model:
        chosen = "multi-model"
    alarms = Alarms(milliseconds=options.alarm_ms, topic=options.alarm_topic)
    return Wanted(
        endpoint=options.endpoint,
        model=options.model or "",
        package=options.package or "",
        group=options.group or "",
        kind=chosen,
        prefix=options.multi_model or "",
        memory=options.memory,
        concurrency=options.concurrency,
        types=items(options.instance or ""),
        count=options.count,
        inference_ami=options.inference_ami or "",
        start_seconds=options.start_seconds,
        download_seconds=options.download_seconds,
        environment=pairs(options.env, "--env"),
        autoscale=options.autoscale or "",
        target=options.target,
        to_zero=options.scale_to_zero,
        alarms=alarms if options.alarms else None,
        capture=options.capture,
        life=options.life,
        bake=options.bake,
        overrides=overrides.parse(options.override, OVERRIDDEN),
    )


def kind(wanted: Wanted, was: Before | None) -> EndpointKind:
    """Return the kind of the endpoint; raises ConfigError if an existing endpoint has another kind."""
    kind = wanted.kind or (was.kind if was else "real-time")
    if was and was.kind != kind:
        raise ConfigError(
            f"the endpoint {wanted.endpoint} is {was.kind} and cannot become {kind}; deploy under another --endpoint, or "
            f"delete it first: byoc delete {wanted.endpoint}"
        )
    if kind == "multi-model" and not wanted.prefix:
        raise ConfigError(
            f"the endpoint {wanted.endpoint} is multi-model; pass --multi-model s3://bucket/prefix/ and no MODEL"
        )
    if kind == "serverless" and (wanted.types or wanted.count is not None or wanted.capture):
        raise ConfigError(
            "a serverless endpoint has no instances and keeps no requests; leave --instance, --count and --capture out"
        )
    if wanted.memory is not None and kind != "serverless":
        raise ConfigError(
            "--memory is for a serverless endpoint; add --serverless, or choose an instance by --instance"
        )
    if wanted.concurrency is not None and kind not in ("serverless", "async"):
        raise ConfigError("--concurrency is for a serverless or an asynchronous endpoint; add --serverless or --async")
    return kind


def scale(wanted: Wanted, kind: EndpointKind) -> Autoscale | None:
    """Return the autoscaling that the user wants; raises ConfigError if the endpoint cannot have it."""
    if not (wanted.autoscale or wanted.to_zero):
        if wanted.target is not None:
            raise ConfigError("--target is an option of autoscaling; add --autoscale MIN:MAX")
        return None
    if kind == "serverless":
        raise ConfigError(
            "a serverless endpoint scales by itself; leave --autoscale out, and limit it with --concurrency"
        )
    if wanted.to_zero and kind != "async":
        raise ConfigError("--scale-to-zero is for an asynchronous endpoint; add --async, or use --serverless")
    return scaling.parse(wanted.autoscale or "0:1", wanted.target, queue=kind == "async", to_zero=wanted.to_zero)


def until(wanted: Wanted, now: datetime) -> datetime | None:
    """Return when the endpoint's life ends; None if --life is not given."""
    if wanted.life is None:
        return None
    if not 0 < wanted.life <= 24 * 366:
        raise ConfigError(f"--life is {wanted.life:g} hours; it must be more than 0, and a year at most")
    return now + timedelta(hours=wanted.life)


def bake(session: Session, wanted: Wanted, was: Before | None) -> int:
    """Return how many seconds the old instances are kept after the new ones answer."""
    if wanted.bake is not None:
        if not 0 <= wanted.bake <= 3600:
            raise ConfigError(f"--bake is {wanted.bake}; it must be a number of seconds from 0 to 3600")
        return wanted.bake
    return BAKE if was and (wanted.alarms or scaling.guards(session, wanted.endpoint)) else 0
