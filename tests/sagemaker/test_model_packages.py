"""Deleting model packages and their groups, and the numbers of later versions."""

from typing import Any

import pytest

from tests.sagemaker.conftest import Emulator, refusal
from tests.sagemaker.hosting import SERVE_IMAGE

INFERENCE = {
    "Containers": [{"Image": SERVE_IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"}],
    "SupportedContentTypes": ["text/csv"],
    "SupportedResponseMIMETypes": ["text/csv"],
}


@pytest.fixture(scope="module")
def sagemaker(emulator: Emulator) -> Any:
    return emulator.client("sagemaker")


def version(sagemaker: Any, group: str) -> str:
    """Make a version of a group and return its ARN."""
    arn: str = sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=INFERENCE)[
        "ModelPackageArn"
    ]
    return arn


def versions(sagemaker: Any, group: str) -> list[int]:
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, PaginationConfig={"PageSize": 1}
    )
    return [summary["ModelPackageVersion"] for page in pages for summary in page["ModelPackageSummaryList"]]


def test_a_version_is_deleted_and_its_number_is_not_given_again(sagemaker: Any) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName="dogs")
    first, second = version(sagemaker, "dogs"), version(sagemaker, "dogs")
    sagemaker.delete_model_package(ModelPackageName=first)
    assert first in refusal(sagemaker.describe_model_package, ModelPackageName=first)[1]
    third = version(sagemaker, "dogs")
    assert third.endswith(":model-package/dogs/3") and versions(sagemaker, "dogs") == [2, 3]
    sagemaker.delete_model_package(ModelPackageName=third)
    assert version(sagemaker, "dogs").endswith(":model-package/dogs/4")
    assert sagemaker.describe_model_package(ModelPackageName=second)["ModelPackageVersion"] == 2


def test_a_group_is_deleted_when_it_is_empty(sagemaker: Any) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName="cats")
    arn = version(sagemaker, "cats")
    code, text = refusal(sagemaker.delete_model_package_group, ModelPackageGroupName="cats")
    assert code == "ConflictException" and "still has model packages" in text
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName="cats")
    groups = sagemaker.list_model_package_groups(NameContains="cats")["ModelPackageGroupSummaryList"]
    assert groups == []
    sagemaker.create_model_package_group(ModelPackageGroupName="cats")
    assert version(sagemaker, "cats").endswith(":model-package/cats/1")


def test_a_package_without_a_group_is_deleted_by_its_name(sagemaker: Any) -> None:
    sagemaker.create_model_package(ModelPackageName="alone", InferenceSpecification=INFERENCE)
    sagemaker.delete_model_package(ModelPackageName="alone")
    names = [entry["ModelPackageName"] for entry in sagemaker.list_model_packages()["ModelPackageSummaryList"]]
    assert "alone" not in names


@pytest.mark.parametrize("what", ["package", "package_group"])
def test_a_missing_thing_is_reported_in_the_words_that_clients_match(sagemaker: Any, what: str) -> None:
    member = "ModelPackageGroupName" if what == "package_group" else "ModelPackageName"
    code, text = refusal(getattr(sagemaker, f"delete_model_{what}"), **{member: "nobody"})
    assert code == "ValidationException" and "nobody" in text
