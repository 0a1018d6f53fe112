"""CreateModel, DescribeModel, ListModels, DeleteModel."""

from typing import Any

from local_test.sagemaker.actions import action
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints import packages
from local_test.sagemaker.endpoints.model_data import ModelData, Source
from local_test.sagemaker.endpoints.model_rules import RULES, container
from local_test.sagemaker.endpoints.names import MODEL, add, find, summaries
from local_test.sagemaker.errors import invalid
from local_test.sagemaker.listing import page
from local_test.sagemaker.storage import NoBucket
from local_test.sagemaker.store import Resource

CONTAINER: dict[str, Any] = {"Mode": "SingleModel", "Environment": {}}
RESOLVED = "_Container"  # the member of the state that holds the container as it runs; Describe does not show it


@action("CreateModel", *RULES)
def create(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resolved = packages.resolve(container(request), cloud)
    cloud.machine.check(resolved["Image"])
    source = ModelData.of(resolved).source
    if source and not _there(source, cloud):
        raise invalid(f"Could not find model data at {source.where}.")
    arn = cloud.arn(MODEL, request["ModelName"])
    state = {"ModelArn": arn, "EnableNetworkIsolation": False, RESOLVED: resolved}
    add(cloud, MODEL, request["ModelName"], _echoed(request), _without_default(state, request))
    return {"ModelArn": arn}


@action("DescribeModel")
def describe(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    answer = cloud.store.snapshot(find(cloud, MODEL, request["ModelName"]))
    return {name: value for name, value in answer.items() if name not in (RESOLVED, "LastModifiedTime")}


@action("ListModels")
def listed(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    found, more = page(cloud.store.all(MODEL), request, "ModelName", descending=True)
    return {"Models": summaries(found, ("ModelName", "ModelArn", "CreationTime")), **more}


@action("DeleteModel")
def delete(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    cloud.store.remove(find(cloud, MODEL, request["ModelName"]))
    return {}


def runs(resource: Resource) -> dict[str, Any]:
    """Return a model's container as it will run."""
    found: dict[str, Any] = resource.state[RESOLVED]
    return found


def _there(source: Source, cloud: Cloud) -> bool:
    try:
        return bool(cloud.storage.objects(source.where) if source.prefix else cloud.storage.object(source.where))
    except NoBucket:
        return False


def _echoed(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request as Describe answers it, with the members that AWS adds to a container."""
    echoed = dict(request)
    if request.get("PrimaryContainer"):
        echoed["PrimaryContainer"] = {**CONTAINER, **request["PrimaryContainer"]}
    if request.get("Containers"):
        echoed["Containers"] = [{**CONTAINER, **entry} for entry in request["Containers"]]
    return echoed


def _without_default(state: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Return the defaults without those that the request sets."""
    return {name: value for name, value in state.items() if request.get(name) is None}
