"""The results of a tuning job's training jobs: summaries, counters, the best job, and progress."""

import math
from collections.abc import Sequence
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.jobs import ended
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training.actions import KIND as TRAINING
from local_test.sagemaker.tuning.plan import Objective, Plan

TRIALS = (
    "_Trials"  # name, definition and hyperparameters of each training job of a tuning job; Describe does not show them
)
CONVERGED = "_Converged"  # the time of convergence; Describe does not show it
IMPROVEMENT = 0.01  # the share of the best objective that counts as an improvement (API, BestObjectiveNotImproving)
Summary = dict[str, Any]


def summaries(tuning: Resource, cloud: Cloud) -> list[Summary]:
    """Return the training jobs of a tuning job, the oldest first, in the form of HyperParameterTrainingJobSummary."""
    plan = Plan.of(tuning.request)
    found = []
    for trial in tuning.state[TRIALS]:
        if job := cloud.store.find(TRAINING, trial["TrainingJobName"]):
            part = plan.parts[trial["Part"]]
            named = {"TrainingJobDefinitionName": part.name} if part.name else {}
            found.append(
                {**named, **_summary(job, tuning.name, part.objective), "TunedHyperParameters": trial["Tuned"]}
            )
    return found


def objective_value(job: Resource, metric: str) -> float | None:
    """Return the last value of a training job's objective; None if the job has no value or has failed."""
    metrics = job.state.get("FinalMetricDataList") or []
    value: float | None = next((entry["Value"] for entry in metrics if entry["MetricName"] == metric), None)
    return None if value is None or math.isnan(value) or job.state["TrainingJobStatus"] == "Failed" else value


def value_of(summary: Summary) -> float | None:
    """Return the objective's value in a summary."""
    found: float | None = summary.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value")
    return found


def best(found: Sequence[Summary], objective: Objective) -> Summary | None:
    """Return the training job with the best objective."""
    judged = [summary for summary in found if summary["ObjectiveStatus"] == "Succeeded"]
    chosen: Summary | None = None
    for summary in judged:
        if chosen is None or objective.better(value_of(summary) or 0.0, value_of(chosen) or 0.0):
            chosen = summary
    return chosen


def status_counters(found: Sequence[Summary]) -> dict[str, int]:
    """Count jobs by status. Only a job that failed with an internal error is retryable (API, TrainingJobStatusCounters)."""
    statuses = [summary["TrainingJobStatus"] for summary in found]
    failed = [summary.get("FailureReason", "") for summary in found if summary["TrainingJobStatus"] == "Failed"]
    internal = sum(reason.startswith("InternalServerError") for reason in failed)
    return {
        "Completed": statuses.count("Completed"),
        "InProgress": statuses.count("InProgress") + statuses.count("Stopping"),
        "RetryableError": internal,
        "NonRetryableError": len(failed) - internal,
        "Stopped": statuses.count("Stopped"),
    }


def objective_counters(found: Sequence[Summary]) -> dict[str, int]:
    statuses = [summary["ObjectiveStatus"] for summary in found]
    return {name: statuses.count(name) for name in ("Succeeded", "Pending", "Failed")}


def not_improving(found: Sequence[Summary], objective: Objective) -> int:
    """Return how many jobs have ended since the last improvement by 1 % or more over all earlier jobs."""
    judged = [summary for summary in found if summary["ObjectiveStatus"] == "Succeeded"]
    top: float | None = None
    count = 0
    for summary in sorted(judged, key=lambda summary: float(summary["TrainingEndTime"])):
        value = value_of(summary) or 0.0
        better = top is None or objective.better(value, top)
        improved = top is None or (better and abs(value - top) >= IMPROVEMENT * abs(top))
        count = 0 if improved else count + 1
        top = value if better else top
    return count


def _summary(job: Resource, tuning: str, objective: Objective) -> Summary:
    answer = job.answer
    names = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "TrainingJobStatus", "FailureReason")
    summary = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "TuningJobName": tuning,
        **{name: answer[name] for name in names if name in answer},
    }
    value = objective_value(job, objective.metric)
    over = ended(job)
    if over and value is not None:
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = {**objective.answer, "Value": value}
    status = "Pending" if not over else "Failed" if value is None else "Succeeded"
    return {**summary, "ObjectiveStatus": status}
