"""Designs a deployment, from the user's options and from the endpoint as it is now."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from classifier.errors import ConfigError
from launch.aws import identity, images, marks, names
from launch.aws.errors import AwsError
from launch.aws.hosting import artifact, endpoint, registry
from launch.aws.hosting.artifact import Artifact, below
from launch.aws.hosting.before import Before, before, updatable
from launch.aws.hosting.wanted import Wanted, bake, kind, scale, until
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import (
    Alarms,
    Asynchronous,
    Autoscale,
    Capture,
    EndpointKind,
    Hosting,
    Model,
    Serverless,
)

# The images hold CUDA 13, and only this AMI has a driver for it (docs/gpu.md).
AMI = "al2023-ami-sagemaker-inference-gpu-4-1"
GPU = re.compile(r"ml\.[gp]\d")
# The largest image that a serverless endpoint accepts, in bytes (AWS's guide, serverless-endpoints).
LARGEST_SERVERLESS = 10 * 10**9


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The parts of an endpoint that will be made or changed. If `hosting` is None, only autoscaling, alarms or life change."""

    endpoint: str
    before: Before | None = None
    hosting: Hosting | None = None
    artifact: Artifact | None = None
    scale: Autoscale | None = None
    alarms: Alarms | None = None
    until: datetime | None = None
    bake: int = 0
    keep_count: bool = True  # whether an update keeps the endpoint's present number of instances
    tags: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # warnings for the user
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def design(session: Session, wanted: Wanted, now: datetime | None = None) -> Deployment:
    """Return the deployment that `wanted` describes.

    Raises ConfigError for options that exclude each other, and AwsError if something that an option names does not exist.
    """
    now = now or datetime.now(UTC)
    name = wanted.endpoint
    if names.endpoint(name) != name:
        raise ConfigError(f"--endpoint is {name!r}; write {names.ALLOWED}, as in {names.endpoint(name)}")
    found = endpoint.find(session, name)
    if not wanted.has_model:
        return _around(session, wanted, found, now)
    was = before(session, found) if found else None
    chosen = kind(wanted, was)
    tags = _tags(session, wanted, now)
    source = _source(session, wanted, chosen)
    hosting = _hosting(session, wanted, was, chosen, source, tags, now)
    scaled = scale(wanted, chosen)
    if scaled and not scaled.low <= hosting.count <= scaled.high and not scaled.to_zero:
        raise ConfigError(f"--count {hosting.count} is outside of --autoscale {wanted.autoscale}")
    return Deployment(
        endpoint=name,
        before=was,
        hosting=hosting,
        artifact=source if isinstance(source, Artifact) else None,
        scale=scaled,
        alarms=wanted.alarms,
        until=until(wanted, now),
        bake=bake(session, wanted, was),
        keep_count=wanted.count is None,
        tags=tags,
        notes=tuple(_notes(session, hosting)),
        overrides=wanted.overrides,
    )


def _around(session: Session, wanted: Wanted, found: endpoint.Endpoint | None, now: datetime) -> Deployment:
    """Return a deployment that does not change the endpoint's model."""
    if found is None:
        raise ConfigError(
            f"there is no endpoint {wanted.endpoint} in {session.region}; name a MODEL to make it, as in "
            f"byoc deploy my-training-job --endpoint {wanted.endpoint}"
        )
    if not (wanted.autoscale or wanted.to_zero or wanted.alarms or wanted.life is not None):
        raise ConfigError(
            "name a MODEL, or pass --autoscale, --alarms or --life to change an endpoint without a new model"
        )
    updatable(found)
    was = before(session, found)
    return Deployment(
        endpoint=wanted.endpoint,
        before=was,
        scale=scale(wanted, was.kind),
        alarms=wanted.alarms,
        until=until(wanted, now),
        tags=_tags(session, wanted, now),
        overrides=wanted.overrides,
    )


def _source(session: Session, wanted: Wanted, kind: EndpointKind) -> Artifact | str:
    """Return the artifact to deploy, or the ARN of a version in the registry."""
    if sum(map(bool, (wanted.model, wanted.package, wanted.group, wanted.prefix))) > 1:
        raise ConfigError(
            "MODEL, --package, --group and --multi-model each name what is deployed; keep only one of them"
        )
    if wanted.package or wanted.group:
        return registry.approved(session, wanted.package or registry.newest(session, wanted.group))
    if kind == "multi-model":
        return _prefix(session, wanted.prefix)
    return artifact.find(session, wanted.model)


def _prefix(session: Session, prefix: str) -> Artifact:
    """Return the artifact of a multi-model endpoint, which is the prefix of its archives. Raises AwsError if the prefix has no archives."""
    uri = f"{prefix.rstrip('/')}/"
    if not artifact.archives(session, uri, most=1):
        raise AwsError(f"there is no archive below {uri}; put models there, as {uri}dogs.tar.gz")
    return Artifact(uri=uri, where=f"the archives below {uri}")


def _hosting(
    session: Session,
    wanted: Wanted,
    was: Before | None,
    kind: EndpointKind,
    source: Artifact | str,
    tags: Mapping[str, str],
    now: datetime,
) -> Hosting:
    """Put the parts of an endpoint together.

    There are many arguments, because each comes from another step of `design`.
    """
    settings = session.settings
    package = "" if isinstance(source, Artifact) else source
    image = "" if package else images.image(settings, "serve")
    who = identity.identity(session)
    model = Model(
        name=names.job(wanted.endpoint, now),
        image=image,
        identity=type(who)(role=who.role, tags=tags, security=who.security),
        data=source.uri if isinstance(source, Artifact) else "",
        multi=kind == "multi-model",
        environment={**(was.environment if was else {}), **wanted.environment},
        package=package,
        overrides=wanted.overrides,
    )
    types = () if kind == "serverless" else wanted.types or (was.types if was else ()) or settings.serve_types
    return Hosting(
        endpoint=wanted.endpoint,
        config=names.job(wanted.endpoint, now),
        model=model,
        types=types,
        count=_count(wanted, was),
        serverless=_serverless(wanted, was) if kind == "serverless" else None,
        asynchronous=_asynchronous(session, wanted, was) if kind == "async" else None,
        capture=_capture(session, wanted, was),
        inference_ami=ami(settings, wanted.inference_ami, types, image),
        start_seconds=wanted.start_seconds or (was.start_seconds if was else 0),
        download_seconds=wanted.download_seconds or (was.download_seconds if was else 0),
        overrides=wanted.overrides,
    )


def _count(wanted: Wanted, was: Before | None) -> int:
    if wanted.count is not None:
        return wanted.count
    if was:
        # Keep the number of instances that autoscaling chose, as AWS itself does during an update.
        return next((count for count in was.endpoint.counts.values() if count), was.count)
    low = wanted.autoscale.partition(":")[0]
    return max(1, int(low)) if low.isdecimal() else 1


def _serverless(wanted: Wanted, was: Before | None) -> Serverless:
    usual = was.serverless if was and was.serverless else Serverless()
    memory = usual.memory_mb if wanted.memory is None else wanted.memory
    concurrency = usual.concurrency if wanted.concurrency is None else wanted.concurrency
    return Serverless(memory_mb=memory, concurrency=concurrency, provisioned=usual.provisioned)


def _asynchronous(session: Session, wanted: Wanted, was: Before | None) -> Asynchronous:
    if was and was.asynchronous:
        usual = was.asynchronous
    else:
        place = below(session, "endpoints", wanted.endpoint)
        usual = Asynchronous(output=f"{place}/answers", failures=f"{place}/failures")
    concurrency = usual.concurrency if wanted.concurrency is None else wanted.concurrency
    return Asynchronous(output=usual.output, failures=usual.failures, concurrency=concurrency)


def _capture(session: Session, wanted: Wanted, was: Before | None) -> Capture | None:
    if wanted.capture is None:
        return was.capture if was else None
    if not 0 <= wanted.capture <= 100:
        raise ConfigError(f"--capture is {wanted.capture}; it must be a percentage from 0 to 100")
    if not wanted.capture:
        return None
    return Capture(uri=below(session, "endpoints", wanted.endpoint, "captured"), percent=wanted.capture)


def ami(settings: Settings, said: str, types: tuple[str, ...], image: str) -> str:
    """Return the AMI whose driver a CUDA image needs, if all instance types have a GPU.

    An empty text means that SageMaker chooses the AMI.
    """
    if said:
        return "" if said == "none" else said
    gpu = bool(types) and all(GPU.match(name) for name in types)
    return AMI if gpu and images.device(settings, image) != "cpu" else ""


def _tags(session: Session, wanted: Wanted, now: datetime) -> dict[str, str]:
    tags = {**session.settings.tags, marks.ENDPOINT: wanted.endpoint}
    if wanted.run:
        tags[marks.RUN] = wanted.run
    if ends := until(wanted, now):
        tags[marks.UNTIL] = ends.isoformat(timespec="seconds")
    return tags


def _notes(session: Session, hosting: Hosting) -> list[str]:
    """Return the warnings for the user; raises AwsError for an image that a serverless endpoint refuses."""
    image, notes = hosting.model.image, []
    device = images.device(session.settings, image) if image else ""
    gpu = any(GPU.match(name) for name in hosting.types)
    if gpu and device == "cpu":
        notes.append(f"{image} is built for the processor; it leaves the GPU of {hosting.types[0]} unused")
    if not gpu and device == "cuda":
        notes.append(
            f"{image} is built for CUDA; without a GPU it works, and is larger and slower to start than the CPU image"
        )
    stored = images.stored(session, image) if image else None
    if hosting.serverless and stored and stored.bytes > LARGEST_SERVERLESS:
        raise AwsError(
            f"{image} has {stored.bytes / 1e9:.1f} GB compressed, and a serverless endpoint takes images of up to 10 GB; push "
            "the CPU image with ./build_and_push.sh serve --device cpu"
        )
    return notes
