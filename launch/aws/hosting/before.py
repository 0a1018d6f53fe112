"""An endpoint's settings before an update. The update keeps each setting that the user does not change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launch.aws.errors import AwsError
from launch.aws.hosting import endpoint
from launch.aws.hosting.endpoint import CHANGING, Configuration, Endpoint
from launch.aws.requests.hosting import VARIANT
from launch.aws.session import Session
from launch.aws.specification import Asynchronous, Capture, EndpointKind, Serverless


@dataclass(frozen=True, kw_only=True)
class Before:
    """The settings of an endpoint that can be updated, in the types of launch.aws.specification."""

    endpoint: Endpoint
    kind: EndpointKind
    models: tuple[str, ...]
    types: tuple[str, ...] = ()
    count: int = 1
    serverless: Serverless | None = None
    asynchronous: Asynchronous | None = None
    capture: Capture | None = None
    inference_ami: str = ""
    start_seconds: int = 0
    download_seconds: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


def before(session: Session, found: Endpoint) -> Before:
    """Return the present settings of an endpoint.

    Raises AwsError if the endpoint cannot be updated, or if it has any variant other than ours.
    """
    updatable(found)
    config = endpoint.configuration(session, found.config)
    if config is None:
        raise AwsError(
            f"the endpoint {found.name} has lost its configuration {found.config}, so AWS can neither patch nor update it; "
            f"delete it with byoc delete {found.name} and deploy it again"
        )
    names = [variant["VariantName"] for variant in config.variants]
    if names != [VARIANT]:
        raise AwsError(
            f"the endpoint {found.name} has the variants {', '.join(names)}, and byoc deploy makes only one, {VARIANT}; deploy "
            "under another name"
        )
    made = endpoint.model(session, config.models[0]) if config.models else None
    return _before(found, config, endpoint.kind(config, made), dict(made.environment) if made else {})


def updatable(found: Endpoint) -> None:
    """Raise AwsError if the endpoint's status does not allow an update."""
    if found.status in CHANGING:
        raise AwsError(
            f"the endpoint {found.name} is {found.status}; wait until it is InService: byoc logs {found.name} --follow"
        )
    if found.status != "InService":
        reason = f" ({found.reason})" if found.reason else ""
        raise AwsError(
            f"the endpoint {found.name} is {found.status}{reason} and can only be deleted: byoc delete {found.name}"
        )


def _before(found: Endpoint, config: Configuration, kind: EndpointKind, environment: dict[str, str]) -> Before:
    variant = config.variants[0]
    return Before(
        endpoint=found,
        kind=kind,
        models=config.models,
        types=endpoint.types(variant),
        count=variant.get("InitialInstanceCount", 1),
        serverless=_serverless(variant.get("ServerlessConfig")),
        asynchronous=_asynchronous(config.answer.get("AsyncInferenceConfig")),
        capture=_capture(config.answer.get("DataCaptureConfig")),
        inference_ami=variant.get("InferenceAmiVersion", ""),
        start_seconds=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 0),
        download_seconds=variant.get("ModelDataDownloadTimeoutInSeconds", 0),
        environment=environment,
    )


def _serverless(answer: Mapping[str, Any] | None) -> Serverless | None:
    if not answer:
        return None
    return Serverless(
        memory_mb=answer["MemorySizeInMB"],
        concurrency=answer["MaxConcurrency"],
        provisioned=answer.get("ProvisionedConcurrency", 0),
    )


def _asynchronous(answer: Mapping[str, Any] | None) -> Asynchronous | None:
    if not answer:
        return None
    output = answer["OutputConfig"]
    return Asynchronous(
        output=output.get("S3OutputPath", ""),
        failures=output.get("S3FailurePath", ""),
        concurrency=answer.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", 0),
    )


def _capture(answer: Mapping[str, Any] | None) -> Capture | None:
    if not answer or not answer.get("EnableCapture", True):
        return None
    return Capture(uri=answer["DestinationS3Uri"], percent=answer["InitialSamplingPercentage"])
