"""CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob."""

from typing import Any

from local_test.sagemaker import jobs
from local_test.sagemaker.actions import action
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import not_emulated
from local_test.sagemaker.listing import page
from local_test.sagemaker.store import Resource, tags_of
from local_test.sagemaker.training import channels, warm_pool
from local_test.sagemaker.training.defaults import filled
from local_test.sagemaker.training.job import TrainingJob
from local_test.sagemaker.training.report import Watch
from local_test.sagemaker.training.rules import RULES
from local_test.sagemaker.training.status import enter

KIND = jobs.TRAINING.word
MISSING = "Requested resource not found."  # ACK's controller looks for this text (its generator.yaml)
DAY = 86400  # default of MaxRuntimeInSeconds (API, StoppingCondition)


@action("CreateTrainingJob", *RULES)
def create(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    return {"TrainingJobArn": start(request, cloud).arn}


def start(request: dict[str, Any], cloud: Cloud, watch: Watch | None = None, **state: Any) -> Resource:
    """Make a training job from a checked request, and start it. A tuning job adds members to `state`, which Describe answers
    too; `watch` is called with each new value of a metric.
    """
    cloud.machine.check(request["AlgorithmSpecification"]["TrainingImage"])
    channels.check(request, cloud)
    name = request["TrainingJobName"]
    arn = cloud.arn(KIND, name)
    resource = Resource(
        kind=KIND, name=name, arn=arn, request=_echoed(request), state=_fresh(arn, state), tags=tags_of(request)
    )
    cloud.store.add(
        resource,
        f"Training job names must be unique within an AWS account and region, and a training job with this name already exists ({arn})",
    )
    enter(cloud, resource, "Starting")
    cloud.background.start(name, TrainingJob(cloud, resource, watch).run)
    return resource


@action("DescribeTrainingJob")
def describe(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = find(request, cloud)
    jobs.await_change(resource, cloud)
    return cloud.store.snapshot(resource)


@action("StopTrainingJob")
def stop(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = find(request, cloud)
    with cloud.store.changing(resource):
        jobs.ask_to_stop(resource)
        if not jobs.stopping(resource):
            enter(cloud, resource, "Stopping", TrainingJobStatus="Stopping")
    return {}


@action("ListTrainingJobs")
def listed(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    if "TrainingPlanArnEquals" in request:
        raise not_emulated("ListTrainingJobs with TrainingPlanArnEquals")
    pool = request.get("WarmPoolStatusEquals")
    found = [job for job in cloud.store.all(KIND) if pool in (None, job.state.get("WarmPoolStatus", {}).get("Status"))]
    shown, more = page(found, request, "TrainingJobStatus")
    return {"TrainingJobSummaries": [_summary(resource) for resource in shown], **more}


def end_left(cloud: Cloud) -> list[str]:
    """End the jobs and warm pools that an emulator left when it was killed, and return a line for each job."""
    for resource in cloud.store.all(KIND):
        warm_pool.end_left(cloud, resource)
    return jobs.end_left(cloud, jobs.TRAINING, lambda job, state: enter(cloud, job, "Failed", **state))


def find(request: dict[str, Any], cloud: Cloud) -> Resource:
    return cloud.store.get(KIND, request["TrainingJobName"], MISSING)


def _echoed(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request as Describe answers it: with AWS's defaults, and without the members that AWS does not return."""
    echoed = filled({key: value for key, value in request.items() if value is not None and key != "Tags"})
    if not echoed.get("HyperParameters"):
        # AWS leaves out empty HyperParameters, and clients distinguish absent from empty (python-sdk#657).
        echoed.pop("HyperParameters", None)
    echoed["OutputDataConfig"] = {"KmsKeyId": "", "CompressionType": "GZIP", **echoed["OutputDataConfig"]}
    echoed["StoppingCondition"] = {"MaxRuntimeInSeconds": DAY, **(echoed.get("StoppingCondition") or {})}
    return echoed


def _fresh(arn: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"TrainingJobArn": arn, "TrainingJobStatus": "InProgress", "SecondaryStatus": "Starting", **state}


def _summary(resource: Resource) -> dict[str, Any]:
    answer = resource.answer
    names = (
        "CreationTime",
        "LastModifiedTime",
        "TrainingEndTime",
        "TrainingJobStatus",
        "WarmPoolStatus",
        "SecondaryStatus",
    )
    return {
        "TrainingJobName": resource.name,
        "TrainingJobArn": resource.arn,
        **{name: answer[name] for name in names if name in answer},
    }
