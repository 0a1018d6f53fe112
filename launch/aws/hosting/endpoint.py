"""Endpoints, their configurations and models, as AWS describes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from launch.aws import marks, names
from launch.aws.errors import AwsError, explained
from launch.aws.jobs import kinds
from launch.aws.session import Session
from launch.aws.specification import EndpointKind

CHANGING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An endpoint as AWS describes it. `config` names its configuration, even while the endpoint is being created."""

    name: str
    arn: str
    status: str
    config: str
    reason: str = ""
    created: datetime
    changed: datetime
    counts: Mapping[str, int] = field(default_factory=dict)  # present number of instances, by variant
    output: str = ""  # the S3 prefix of an asynchronous endpoint's answers
    serverless: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def until(self) -> datetime | None:
        """The time at which the endpoint's life ends; None if its life has no end."""
        return marks.until(self.tags)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """An endpoint's configuration; `variants` are the API's ProductionVariants."""

    name: str
    arn: str
    created: datetime
    variants: tuple[Mapping[str, Any], ...]
    answer: Mapping[str, Any]

    @property
    def models(self) -> tuple[str, ...]:
        named = [
            variant.get("ModelName", "")
            for variant in (*self.variants, *self.answer.get("ShadowProductionVariants", ()))
        ]
        return tuple(dict.fromkeys(name for name in named if name))


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model as AWS describes it."""

    name: str
    arn: str
    created: datetime
    image: str = ""
    data: str = ""
    package: str = ""
    multi: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def find(session: Session, name: str) -> Endpoint | None:
    """Return the endpoint of this name with its tags, or None if it does not exist."""
    answer = described(f"endpoint {name}", session.client("sagemaker").describe_endpoint, EndpointName=name)
    if answer is None:
        return None
    try:
        tags = tags_of(session, answer["EndpointArn"])
    except AwsError as error:
        if kinds.is_missing(error):  # the endpoint was deleted between the two requests
            return None
        raise
    variants = answer.get("ProductionVariants", ())
    pending = answer.get("PendingDeploymentSummary", {})
    return Endpoint(
        name=name,
        arn=answer["EndpointArn"],
        status=answer["EndpointStatus"],
        config=answer.get("EndpointConfigName") or pending.get("EndpointConfigName", ""),
        reason=answer.get("FailureReason", ""),
        created=answer["CreationTime"],
        changed=answer["LastModifiedTime"],
        counts={variant["VariantName"]: variant.get("CurrentInstanceCount", 0) for variant in variants},
        output=answer.get("AsyncInferenceConfig", {}).get("OutputConfig", {}).get("S3OutputPath", ""),
        serverless=any("CurrentServerlessConfig" in variant for variant in variants),
        tags=tags,
    )


def configuration(session: Session, name: str) -> Configuration | None:
    """Return the configuration of this name, or None if it does not exist."""
    call = session.client("sagemaker").describe_endpoint_config
    answer = described(f"configuration {name}", call, EndpointConfigName=name)
    if answer is None:
        return None
    return Configuration(
        name=name,
        arn=answer["EndpointConfigArn"],
        created=answer["CreationTime"],
        variants=tuple(answer["ProductionVariants"]),
        answer=answer,
    )


def model(session: Session, name: str) -> Made | None:
    """Return the model of this name, or None if it does not exist."""
    answer = described(f"model {name}", session.client("sagemaker").describe_model, ModelName=name)
    if answer is None:
        return None
    container: Mapping[str, Any] = answer.get("PrimaryContainer") or next(iter(answer.get("Containers", ())), {})
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    return Made(
        name=name,
        arn=answer["ModelArn"],
        created=answer["CreationTime"],
        image=container.get("Image", ""),
        data=container.get("ModelDataUrl", "") or source.get("S3Uri", ""),
        package=container.get("ModelPackageName", ""),
        multi=container.get("Mode") == "MultiModel",
        environment=container.get("Environment", {}),
    )


def kind(found: Configuration, of_model: Made | None) -> EndpointKind:
    """Return the kind of endpoint that a configuration makes."""
    if any(variant.get("ServerlessConfig") for variant in found.variants):
        return "serverless"
    if found.answer.get("AsyncInferenceConfig"):
        return "async"
    return "multi-model" if of_model and of_model.multi else "real-time"


def types(variant: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the instance types of a ProductionVariant in order of preference; a serverless variant has none."""
    pools = sorted(variant.get("InstancePools") or (), key=lambda pool: int(pool["Priority"]))
    return tuple(pool["InstanceType"] for pool in pools) or tuple(filter(None, [variant.get("InstanceType", "")]))


def tags_of(session: Session, arn: str) -> dict[str, str]:
    """Return the tags of a resource of SageMaker."""
    with explained(f"the tags of {arn}"):
        pages = session.client("sagemaker").get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def made_for(session: Session, name: str) -> list[Configuration]:
    """Return the configurations that were made for an endpoint, the newest first.

    Their names begin with the endpoint's name, and their tag names the endpoint.
    """
    found = []
    for entry in _named(session, "list_endpoint_configs", "EndpointConfigs", name):
        if entry["EndpointConfigName"].startswith(f"{name}-"):
            tags = tags_of(session, entry["EndpointConfigArn"])
            if tags.get(marks.ENDPOINT) == name and (whole := configuration(session, entry["EndpointConfigName"])):
                found.append(whole)
    return sorted(found, key=lambda entry: entry.created, reverse=True)


def models_made_for(session: Session, name: str) -> list[str]:
    """Return the names of the models that were made for an endpoint, the newest first."""
    found = []
    for entry in _named(session, "list_models", "Models", name):
        tagged = entry["ModelName"].startswith(f"{name}-") and tags_of(session, entry["ModelArn"]).get(marks.ENDPOINT)
        if tagged == name:
            found.append(entry["ModelName"])
    return found


def delete(what: str, call: Any, **request: str) -> None:
    """Delete a resource by calling a Delete action of the API.

    A resource that is already gone is not an error. Raises AwsError if AWS refuses.
    """
    try:
        with explained(what):
            call(**request)
    except AwsError as error:
        if not kinds.is_missing(error):
            raise


def in_service(session: Session) -> Iterator[Endpoint]:
    """Yield every endpoint of the region, whether byoc made it or not."""
    for entry in _named(session, "list_endpoints", "Endpoints", ""):
        if found := find(session, entry["EndpointName"]):
            yield found


def _named(session: Session, operation: str, member: str, part: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of a List action whose names contain `part`, the newest first."""
    if part and not names.is_legal(part):
        return
    contains = {"NameContains": part} if part else {}
    order = {"SortBy": "CreationTime", "SortOrder": "Descending"}
    with explained(f"the list of {member.lower()}"):
        for page in session.client("sagemaker").get_paginator(operation).paginate(**contains, **order):
            yield from page[member]


def described(what: str, call: Any, **request: str) -> dict[str, Any] | None:
    """Return the answer of a Describe action, or None if nothing has this name. Raises AwsError if AWS refuses for another reason."""
    if not all(map(names.is_legal, request.values())):
        return None
    try:
        with explained(what):
            answer: dict[str, Any] = call(**request)
    except AwsError as error:
        if kinds.is_missing(error):
            return None
        raise
    return answer
