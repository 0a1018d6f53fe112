"""Adds, finds and lists models, endpoint configurations and endpoints. Its errors have the words that clients look for."""

from collections.abc import Iterable
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import ApiError, invalid
from local_test.sagemaker.store import Resource, tags_of

MODEL, CONFIG, ENDPOINT = "model", "endpoint-config", "endpoint"
# Clients look for "Could not find" and "Cannot create already existing" (constants of Terraform and ACK).
WORDS = {MODEL: "model", CONFIG: "endpoint configuration", ENDPOINT: "endpoint"}


def missing(cloud: Cloud, kind: str, name: str) -> str:
    return f'Could not find {WORDS[kind]} "{cloud.arn(kind, name)}".'


def find(cloud: Cloud, kind: str, name: str) -> Resource:
    """Return a resource; raises ApiError if it does not exist."""
    return cloud.store.get(kind, name, missing(cloud, kind, name))


def add(cloud: Cloud, kind: str, name: str, request: dict[str, Any], state: dict[str, Any]) -> Resource:
    """Keep a new resource; raises ApiError if its name is taken, regardless of upper and lower case (API, CreateEndpoint: EndpointName)."""
    arn = cloud.arn(kind, name)
    in_use = f'Cannot create already existing {WORDS[kind]} "{arn}".'
    if cloud.store.find_arn(arn):
        raise invalid(in_use)
    echoed = {key: value for key, value in request.items() if value is not None and key != "Tags"}
    resource = Resource(kind=kind, name=name, arn=arn, request=echoed, state=state, tags=tags_of(request))
    try:
        cloud.store.add(resource, in_use)
    except ApiError as error:
        raise invalid(error.message) from None  # for this, AWS's code is ValidationException, not ResourceInUse
    return resource


def summaries(resources: Iterable[Resource], members: Iterable[str]) -> list[dict[str, Any]]:
    """Return the members that a List action shows of each resource."""
    return [{name: resource.answer[name] for name in members} for resource in resources]
