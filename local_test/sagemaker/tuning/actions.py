"""The actions of hyperparameter tuning jobs."""

import time
from typing import Any

from local_test.sagemaker import jobs
from local_test.sagemaker.actions import action
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.listing import page, pages
from local_test.sagemaker.store import Resource, tags_of
from local_test.sagemaker.training import channels
from local_test.sagemaker.training.defaults import filled
from local_test.sagemaker.tuning import results, warm_start
from local_test.sagemaker.tuning.plan import Plan
from local_test.sagemaker.tuning.rules import RULES
from local_test.sagemaker.tuning.training_request import STATIC_METRIC, training_request

KIND = jobs.TUNING.word
MISSING = "Requested resource not found."
SHORT = 10  # the default of MaxResults in these lists (API)


@action("CreateHyperParameterTuningJob", *RULES)
def create(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    plan = Plan.of(request)
    for part in plan.parts:
        cloud.machine.check(part.definition["AlgorithmSpecification"]["TrainingImage"])
        channels.check(training_request(part, "probe", {}, {}), cloud)
    warm_start.check(request, cloud)
    name = request["HyperParameterTuningJobName"]
    arn = cloud.arn(KIND, name)
    state = {"HyperParameterTuningJobArn": arn, "HyperParameterTuningJobStatus": "InProgress", results.TRIALS: []}
    resource = Resource(
        kind=KIND, name=name, arn=arn, request=_echoed(request, plan), state=state, tags=tags_of(request)
    )
    cloud.store.add(
        resource,
        f"Hyperparameter tuning job names must be unique within an AWS account and region, and one with this name already exists ({arn})",
    )
    cloud.say(f"tuning job {name}: InProgress")
    from local_test.sagemaker.tuning.job import TuningJob  # imported here, so that only tuning jobs import Optuna

    cloud.background.start(name, TuningJob(cloud, resource).run)
    return {"HyperParameterTuningJobArn": arn}


@action("DescribeHyperParameterTuningJob")
def describe(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = _find(request, cloud)
    jobs.await_change(resource, cloud)
    answer = cloud.store.snapshot(resource)
    converged = answer.pop(results.CONVERGED, None)
    answer.pop(results.TRIALS)
    found = results.summaries(resource, cloud)
    objective = Plan.of(resource.request).objective
    details = {"NumberOfTrainingJobsObjectiveNotImproving": results.not_improving(found, objective)}
    end = answer.get("HyperParameterTuningEndTime") or time.time()
    answer |= {
        "TrainingJobStatusCounters": results.status_counters(found),
        "ObjectiveStatusCounters": results.objective_counters(found),
        "TuningJobCompletionDetails": {**details, **({"ConvergenceDetectedTime": converged} if converged else {})},
        "ConsumedResources": {"RuntimeInSeconds": round(end - answer["CreationTime"])},
    }
    if best := results.best(found, objective):
        answer["BestTrainingJob"] = best
    if overall := _overall(resource, found, cloud):
        answer["OverallBestTrainingJob"] = overall
    return answer


@action("StopHyperParameterTuningJob")
def stop(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = _find(request, cloud)
    with cloud.store.changing(resource) as state:
        jobs.ask_to_stop(resource)
        state["HyperParameterTuningJobStatus"] = "Stopping"
    return {}


@action("ListHyperParameterTuningJobs")
def listed(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    wanted = {"SortBy": "Name", "MaxResults": SHORT, **request}
    found, more = page(cloud.store.all(KIND), wanted, "HyperParameterTuningJobStatus")
    return {"HyperParameterTuningJobSummaries": [_summary(resource, cloud) for resource in found], **more}


@action("ListTrainingJobsForHyperParameterTuningJob")
def training_jobs(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    resource = _find(request, cloud)
    found = results.summaries(resource, cloud)
    by = request.get("SortBy", "Name")
    if by == "FinalObjectiveMetricValue":
        # Other kinds are not listed (API).
        found = [summary for summary in found if results.value_of(summary) is not None]
    if "StatusEquals" in request:
        found = [summary for summary in found if summary["TrainingJobStatus"] == request["StatusEquals"]]
    found.sort(key=lambda summary: _sorted_by(summary, by), reverse=request.get("SortOrder") == "Descending")
    shown, more = pages(found, {"MaxResults": SHORT, **request})
    return {"TrainingJobSummaries": shown, **more}


def end_left(cloud: Cloud) -> list[str]:
    return jobs.end_left(cloud, jobs.TUNING, lambda job, state: cloud.store.update(job, **state))


def _find(request: dict[str, Any], cloud: Cloud) -> Resource:
    return cloud.store.get(KIND, request["HyperParameterTuningJobName"], MISSING)


def _echoed(request: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Return the request as Describe answers it: it has the platform's own static hyperparameter beside the user's."""
    echoed = {key: value for key, value in request.items() if value is not None and key != "Tags"}
    definitions = [
        {**filled(part.definition), "StaticHyperParameters": {**part.static, STATIC_METRIC: part.objective.metric}}
        for part in plan.parts
    ]
    if "TrainingJobDefinition" in echoed:
        return {**echoed, "TrainingJobDefinition": definitions[0]}
    return {**echoed, "TrainingJobDefinitions": definitions}


def _overall(resource: Resource, found: list[results.Summary], cloud: Cloud) -> results.Summary | None:
    """Return the best training job of this tuning job and its parents, if they have the same data (API)."""
    start = resource.request.get("WarmStartConfig")
    if not start or start["WarmStartType"] != warm_start.IDENTICAL:
        return None
    earlier = [
        summary
        for parent in warm_start.parents(resource.request, cloud)
        for summary in results.summaries(parent, cloud)
    ]
    return results.best([*earlier, *found], Plan.of(resource.request).objective)


def _summary(resource: Resource, cloud: Cloud) -> dict[str, Any]:
    answer, found = resource.answer, results.summaries(resource, cloud)
    names = (
        "HyperParameterTuningJobName",
        "HyperParameterTuningJobArn",
        "HyperParameterTuningJobStatus",
        "CreationTime",
        "HyperParameterTuningEndTime",
        "LastModifiedTime",
    )
    config = answer["HyperParameterTuningJobConfig"]
    return {
        **{name: answer[name] for name in names if name in answer},
        "Strategy": config["Strategy"],
        "ResourceLimits": config["ResourceLimits"],
        "TrainingJobStatusCounters": results.status_counters(found),
        "ObjectiveStatusCounters": results.objective_counters(found),
    }


def _sorted_by(summary: results.Summary, by: str) -> Any:
    member = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}.get(by, "CreationTime")
    return results.value_of(summary) if by == "FinalObjectiveMetricValue" else summary[member]
