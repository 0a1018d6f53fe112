"""DeleteModelPackage and DeleteModelPackageGroup, which moto does not have. moto answers the other actions of model packages."""

from typing import Any

from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import sagemaker_backends

from local_test.sagemaker.actions import action
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import ApiError, invalid
from local_test.sagemaker.settings import ACCOUNT


class Numbered(dict[str, Any]):
    """moto's model packages by ARN. A new version of a group gets a number that no earlier version had.

    moto would number it by the count of existing versions plus 1. After a deletion this could be the number of another version.
    """

    def __init__(self, packages: dict[str, Any]) -> None:
        super().__init__(packages)
        self.last: dict[str, int] = {}  # the last version number of each group
        for package in packages.values():
            if group := package.model_package_group_name:
                self.last[group] = max(self.last.get(group, 0), package.model_package_version)

    def __setitem__(self, arn: str, package: Any) -> None:
        if group := package.model_package_group_name:
            number = self.last[group] = self.last.get(group, 0) + 1
            package.model_package_version = number
            package.arn = f"{arn.rpartition('/')[0]}/{number}"
        super().__setitem__(package.arn, package)


@action("DeleteModelPackage")
def delete(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    backend = sagemaker_backends[ACCOUNT][cloud.region]
    try:
        package = backend.describe_model_package(request["ModelPackageName"])
    except ValidationError as error:
        raise invalid(error.message) from None
    if not isinstance(backend.model_packages, Numbered):
        backend.model_packages = Numbered(backend.model_packages)
    del backend.model_packages[package.arn]
    names = backend.model_package_name_mapping
    backend.model_package_name_mapping = {name: arn for name, arn in names.items() if arn != package.arn}
    return {}


@action("DeleteModelPackageGroup")
def delete_group(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    backend = sagemaker_backends[ACCOUNT][cloud.region]
    name = request["ModelPackageGroupName"].rpartition("/")[2]
    try:
        group = backend.describe_model_package_group(name)
    except ValidationError as error:
        raise invalid(error.message) from None
    if any(package.model_package_group_name == name for package in backend.model_packages.values()):
        # The error's code comes from the API model; its text is ours.
        raise ApiError(
            "ConflictException", f"the model package group {group.arn} still has model packages; delete these first"
        )
    del backend.model_package_groups[name]
    if isinstance(backend.model_packages, Numbered):
        backend.model_packages.last.pop(name, None)
    return {}
