"""CreateTransformJob, DescribeTransformJob, ListTransformJobs, StopTransformJob."""

from typing import Any

from local_test.sagemaker import jobs
from local_test.sagemaker.actions import action
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints import models, names
from local_test.sagemaker.errors import invalid
from local_test.sagemaker.listing import page
from local_test.sagemaker.storage import S3Uri
from local_test.sagemaker.store import Resource, tags_of
from local_test.sagemaker.training.inputs import inputs
from local_test.sagemaker.transform.job import TransformJob
from local_test.sagemaker.transform.rules import RULES

KIND = jobs.TRANSFORM.word
MISSING = "Could not find requested job with name: {name}"
SHORT = 10  # the default of MaxResults (API)


@action("CreateTransformJob", *RULES)
def create(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    model = names.find(cloud, names.MODEL, request["ModelName"])
    container = models.runs(model)
    if container.get("Mode") == "MultiModel":
        raise invalid(
            f"the model {model.name} holds several models (Mode MultiModel), which batch transform does not serve"
        )
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source and source["CompressionType"] == "None":
        raise invalid(f"the model {model.name} has uncompressed ModelDataSource, which batch transform does not take")
    inputs(request["TransformInput"], cloud.storage)  # raises ApiError if no object matches
    S3Uri.parse(request["TransformOutput"]["S3OutputPath"])
    name = request["TransformJobName"]
    arn = cloud.arn(KIND, name)
    state = {"TransformJobArn": arn, "TransformJobStatus": "InProgress"}
    resource = Resource(kind=KIND, name=name, arn=arn, request=_echoed(request), state=state, tags=tags_of(request))
    cloud.store.add(
        resource,
        f"Transform job names must be unique within an AWS account and region, and one with this name already exists ({arn})",
    )
    cloud.say(f"transform job {name}: InProgress")
    isolated = bool(model.answer.get("EnableNetworkIsolation"))
    cloud.background.start(name, TransformJob(cloud, resource, container, isolated).run)
    return {"TransformJobArn": arn}


@action("DescribeTransformJob")
def describe(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = _find(request, cloud)
    jobs.await_change(resource, cloud)
    answer = cloud.store.snapshot(resource)
    answer.pop("LastModifiedTime")  # only the list's summaries have this member
    return answer


@action("StopTransformJob")
def stop(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = _find(request, cloud)
    with cloud.store.changing(resource) as state:
        jobs.ask_to_stop(resource)
        state["TransformJobStatus"] = "Stopping"
    return {}


@action("ListTransformJobs")
def listed(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    found, more = page(cloud.store.all(KIND), {"MaxResults": SHORT, **request}, "TransformJobStatus", descending=True)
    return {"TransformJobSummaries": [_summary(resource) for resource in found], **more}


def end_left(cloud: Cloud) -> list[str]:
    return jobs.end_left(cloud, jobs.TRANSFORM, lambda job, state: cloud.store.update(job, **state))


def _echoed(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request as Describe answers it, with the defaults that AWS adds."""
    echoed = {key: value for key, value in request.items() if value is not None and key != "Tags"}
    return {
        **echoed,
        "TransformInput": {"CompressionType": "None", "SplitType": "None", **echoed["TransformInput"]},
        "TransformOutput": {"AssembleWith": "None", "KmsKeyId": "", **echoed["TransformOutput"]},
        "DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
        | (echoed.get("DataProcessing") or {}),
    }


def _find(request: dict[str, Any], cloud: Cloud) -> Resource:
    name = request["TransformJobName"]
    return cloud.store.get(KIND, name, MISSING.format(name=name))


def _summary(resource: Resource) -> dict[str, Any]:
    answer = resource.answer
    members = (
        "TransformJobName",
        "TransformJobArn",
        "CreationTime",
        "TransformEndTime",
        "LastModifiedTime",
        "TransformJobStatus",
        "FailureReason",
    )
    return {name: answer[name] for name in members if name in answer}
