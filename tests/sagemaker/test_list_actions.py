"""boto3's paginators over every List action, with its filters and orders, and boto3's waiters."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.sagemaker.conftest import ended, refusal, training_request
from tests.sagemaker.hosting import Hosting, hosted

# For each paginator: the member of the answer that lists the resources, the member that names each, and the default order
# (API reference, SortBy and SortOrder of each action).
LISTS = {
    "list_training_jobs": ("TrainingJobSummaries", "TrainingJobName", "ascending"),
    "list_transform_jobs": ("TransformJobSummaries", "TransformJobName", "descending"),
    "list_models": ("Models", "ModelName", "descending"),
    "list_endpoint_configs": ("EndpointConfigs", "EndpointConfigName", "descending"),
    "list_endpoints": ("Endpoints", "EndpointName", "descending"),
}
WITH_STATUS = ("list_training_jobs", "list_transform_jobs", "list_endpoints")
NAMES = ["item-0", "item-1", "item-2"]


@pytest.fixture(scope="module")
def sagemaker(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Any]:
    """Three resources of each kind; the first job has failed."""
    running = hosted(tmp_path_factory.mktemp("lists"))
    hosting: Hosting = next(running)
    for name in ("first", "second"):
        hosting.sagemaker.delete_model(ModelName=name)
    hosting.s3.create_bucket(Bucket="photos")
    hosting.s3.put_object(Bucket="photos", Key="batch/1", Body=b'{"do": "show"}')
    for name in NAMES:
        what = {"do": "fail", "text": "no"} if name == NAMES[0] else {"do": "list"}
        hosting.sagemaker.create_training_job(**training_request(name, HyperParameters=what, InputDataConfig=None))
        hosting.model(name)
        hosting.config(name, {"ModelName": name})
        hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        hosting.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=name,
            TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://photos/batch/"}}},
            TransformOutput={"S3OutputPath": "s3://photos/out"},
            TransformResources={"InstanceCount": 1, "InstanceType": "ml.m5.large"},
        )
    for name in NAMES:
        ended(hosting.sagemaker, name)
        assert hosting.settled(name)["EndpointStatus"] == "InService"
    yield hosting.sagemaker
    next(running, None)


def listed(sagemaker: Any, action: str, **request: Any) -> list[dict[str, Any]]:
    """Return the summaries of all pages, of one resource each."""
    pages = list(sagemaker.get_paginator(action).paginate(**request, PaginationConfig={"PageSize": 1}))
    assert all(len(page[LISTS[action][0]]) <= 1 for page in pages)
    return [summary for page in pages for summary in page[LISTS[action][0]]]


def names(sagemaker: Any, action: str, **request: Any) -> list[str]:
    return [summary[LISTS[action][1]] for summary in listed(sagemaker, action, **request)]


@pytest.mark.parametrize("action", LISTS)
def test_a_list_has_every_resource_once_in_the_order_that_is_wanted(sagemaker: Any, action: str) -> None:
    assert names(sagemaker, action) == (NAMES if LISTS[action][2] == "ascending" else NAMES[::-1])
    for by in ("Name", "CreationTime"):
        assert names(sagemaker, action, SortBy=by, SortOrder="Ascending") == NAMES
        assert names(sagemaker, action, SortBy=by, SortOrder="Descending") == NAMES[::-1]


@pytest.mark.parametrize("action", LISTS)
def test_a_list_is_filtered_by_name_and_times(sagemaker: Any, action: str) -> None:
    assert names(sagemaker, action, NameContains="m-1") == ["item-1"]
    assert names(sagemaker, action, NameContains="M-1") == []
    # boto3 sends whole seconds, and all these resources were made within two or three seconds.
    earlier, later = time.time() - 600, time.time() + 600
    for wanted, found in ((earlier, NAMES), (later, [])):
        assert sorted(names(sagemaker, action, CreationTimeAfter=wanted)) == found
        assert sorted(names(sagemaker, action, CreationTimeBefore=wanted)) == [
            name for name in NAMES if name not in found
        ]


@pytest.mark.parametrize("action", WITH_STATUS)
def test_a_list_is_filtered_by_status_and_by_the_time_of_the_last_change(sagemaker: Any, action: str) -> None:
    status = "InService" if action == "list_endpoints" else "Completed"
    for name in NAMES:
        sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
            TransformJobName=name, WaiterConfig={"Delay": 1}
        )
    first = [] if action == "list_training_jobs" else NAMES[:1]
    assert sorted(names(sagemaker, action, StatusEquals=status)) == first + NAMES[1:]
    assert sorted(names(sagemaker, action, SortBy="Status")) == NAMES
    assert names(sagemaker, action, LastModifiedTimeBefore=946684800) == []
    assert sorted(names(sagemaker, action, LastModifiedTimeAfter=946684800)) == NAMES


@pytest.mark.parametrize("action", LISTS)
def test_a_wrong_list_is_refused(sagemaker: Any, action: str) -> None:
    for wrong, text in (
        ({"SortBy": "Size"}, "enum value set"),
        ({"MaxResults": 101}, "less than or equal to 100"),
        ({"NextToken": "mine"}, "not a token"),
    ):
        code, message = refusal(getattr(sagemaker, action), **wrong)
        assert code == "ValidationException" and text in message


def test_a_waiter_of_a_job_that_failed_or_is_not_there_says_so(sagemaker: Any) -> None:
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    for name, reason in (("item-0", '"Failed"'), ("nobody", "ValidationException")):
        with pytest.raises(WaiterError, match=f"terminal failure state: .*{reason}"):
            waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1})


def test_a_waiter_of_what_is_not_emulated_names_it(sagemaker: Any) -> None:
    with pytest.raises(WaiterError, match=r"NotEmulated.*DescribeProcessingJob"):
        sagemaker.get_waiter("processing_job_completed_or_stopped").wait(ProcessingJobName="any")
