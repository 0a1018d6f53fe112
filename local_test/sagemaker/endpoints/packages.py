"""The containers of model packages, which moto holds."""

from typing import Any

from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import sagemaker_backends

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.settings import ACCOUNT

TAKEN = ("Image", "ModelDataUrl", "ModelDataSource")


def resolve(container: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    """Return a container with the members that its model package adds; raises ApiError if the package does not exist."""
    name = container.get("ModelPackageName")
    if not name:
        return container
    try:
        package = sagemaker_backends[ACCOUNT][cloud.region].describe_model_package(name)
    except ValidationError:
        raise invalid(f"Could not find model package {name}") from None
    if package.model_approval_status in ("PendingManualApproval", "Rejected"):
        # Only an approved version can be deployed (guide, model-registry-deploy).
        raise invalid(
            f"the model package {name} is {package.model_approval_status}; approve it with UpdateModelPackage"
        )
    found = _containers(package, container.get("InferenceSpecificationName"))
    if len(found) != 1:
        raise not_emulated(f"the model package {name} of {len(found)} containers")
    taken = {member: found[0][member] for member in TAKEN if found[0].get(member)}
    variables = {**(found[0].get("Environment") or {}), **(container.get("Environment") or {})}
    return {**container, **taken, "Environment": variables}


def _containers(package: Any, specification: str | None) -> list[dict[str, Any]]:
    if specification is None:
        return list((package.inference_specification or {}).get("Containers") or [])
    for entry in package.additional_inference_specifications or []:
        if entry.get("Name") == specification:
            return list(entry.get("Containers") or [])
    raise invalid(f"the model package has no inference specification of the name {specification}")
