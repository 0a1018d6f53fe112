"""Tags of the emulator's resources; moto holds the tags of model packages."""

from typing import Any

from local_test.sagemaker.actions import ForMoto, action
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import invalid
from local_test.sagemaker.store import Resource, tags_of

MOST = 50  # the most tags of a resource (API reference, AddTags: Tags is an array of at most 50)


def _resource(request: dict[str, Any], cloud: Cloud) -> Resource:
    arn = request["ResourceArn"]
    found = cloud.store.find_arn(arn)
    if found is None:
        if ":model-package" in arn:
            raise ForMoto
        raise invalid(f"Could not find resource {arn}")
    return found


@action("ListTags")
def list_tags(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    return {"Tags": _listed(_resource(request, cloud))}


@action("AddTags")
def add_tags(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = _resource(request, cloud)
    tags = {**resource.tags, **tags_of(request)}
    if len(tags) > MOST:
        raise invalid(f"{resource.arn} would have {len(tags)} tags; a resource has at most {MOST}")
    resource.tags = tags
    cloud.store.save(resource)
    return {"Tags": _listed(resource)}


@action("DeleteTags")
def delete_tags(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = _resource(request, cloud)
    resource.tags = {key: value for key, value in resource.tags.items() if key not in request["TagKeys"]}
    cloud.store.save(resource)
    return {}


def _listed(resource: Resource) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in resource.tags.items()]
