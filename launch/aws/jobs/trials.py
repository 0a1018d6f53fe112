"""The training jobs of a tuning job, as a table that grows while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launch.aws.errors import explained
from launch.aws.jobs.kinds import KINDS
from launch.aws.jobs.screen import Screen
from launch.aws.session import Session

STATIC_METRIC = "_tuning_objective_metric"  # a hyperparameter that SageMaker adds to each training job
ENDS = KINDS["training"].ends


@dataclass(frozen=True)
class Trial:
    """One training job of a tuning job."""

    name: str
    status: str
    hyperparameters: Mapping[str, str]
    value: float | None  # value of the objective metric
    seconds: int | None
    reason: str = ""


def trial(summary: Mapping[str, Any]) -> Trial:
    """Return the trial that a summary from AWS describes."""
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
    started, ended = summary.get("TrainingStartTime"), summary.get("TrainingEndTime")
    return Trial(
        name=summary["TrainingJobName"],
        status=summary.get("TrainingJobStatus", "Unknown"),
        # The SDK writes the values of a categorical hyperparameter with the quotes of JSON.
        hyperparameters={name: value.strip('"') for name, value in (summary.get("TunedHyperParameters") or {}).items()},
        value=metric.get("Value"),
        seconds=round((ended - started).total_seconds()) if started and ended else None,
        reason=summary.get("FailureReason", ""),
    )


def list_trials(session: Session, name: str) -> list[Trial]:
    """Return a tuning job's training jobs, the oldest first. Raises AwsError."""
    with explained(f"list the training jobs of tuning job {name}"):
        pages = (
            session.client("sagemaker")
            .get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
            .paginate(
                HyperParameterTuningJobName=name,
                SortBy="CreationTime",
                SortOrder="Ascending",
                PaginationConfig={"PageSize": 100},
            )
        )
        return [trial(summary) for page in pages for summary in page["TrainingJobSummaries"]]


def best(answer: Mapping[str, Any]) -> Trial | None:
    """Return the best training job in an answer of Describe; None if there is none yet.

    With warm start it may be a training job of a parent.
    """
    found = answer.get("OverallBestTrainingJob") or answer.get("BestTrainingJob")
    return trial(found) if found else None


class Trials:
    """Shows a table of a tuning job's trials: a row for each trial that has ended.

    Also shows how many trials have each status, when that changes.
    """

    def __init__(self, session: Session, name: str, screen: Screen) -> None:
        self._session, self._name, self._screen = session, name, screen
        self._counters: object = None
        self._shown: set[str] = set()

    def look(self, answer: Mapping[str, Any]) -> None:
        """Show the changes in a described tuning job. Raises AwsError."""
        counters = answer.get("TrainingJobStatusCounters") or {}, answer.get("HyperParameterTuningJobStatus")
        if counters == self._counters:
            return
        rows = list_trials(self._session, self._name)
        self._screen.say(f"{counters[1]}: {_counted(counters[0])}")
        metric = objective(answer)
        for row in rows:
            if row.status in ENDS and row.name not in self._shown:
                if not self._shown:
                    self._screen.say(header(row.hyperparameters, metric))
                self._shown.add(row.name)
                self._screen.say(line(row))
        self._counters = counters  # set last, so that everything is shown at the next call if a request fails


def header(names: Mapping[str, str], metric: str) -> str:
    """Return the header of a table of trials."""
    return f"  {'trial':<45} {'status':<11}{metric:>20}{'seconds':>9}  {', '.join(names)}"


def line(row: Trial) -> str:
    """Return the row of a trial in the table."""
    value = "-" if row.value is None else f"{row.value:.4f}"
    seconds = "-" if row.seconds is None else str(row.seconds)
    settings = ", ".join(f"{name} {value}" for name, value in row.hyperparameters.items())
    reason = f"  {row.reason}" if row.reason else ""
    return f"  {row.name:<45} {row.status:<11}{value:>20}{seconds:>9}  {settings}{reason}"


def objective(answer: Mapping[str, Any]) -> str:
    """Return the name of the objective metric in an answer of Describe."""
    config = answer.get("HyperParameterTuningJobConfig") or {}
    return str((config.get("HyperParameterTuningJobObjective") or {}).get("MetricName", "objective"))


def static(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the hyperparameters that are the same in all training jobs of a described tuning job."""
    definition = answer.get("TrainingJobDefinition") or {}
    found = definition.get("StaticHyperParameters") or {}
    return {name: value for name, value in found.items() if name != STATIC_METRIC}


def _counted(counters: Mapping[str, int]) -> str:
    words = {
        "InProgress": "running",
        "Completed": "completed",
        "Stopped": "stopped",
        "RetryableError": "failed and may be tried again",
        "NonRetryableError": "failed",
    }
    found = [f"{counters[key]} {word}" for key, word in words.items() if counters.get(key)]
    return ", ".join(found) or "no training job yet"
