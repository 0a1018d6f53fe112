"""The life of a tuning job: it launches training jobs, reads their metrics, and ends by its limits or criteria."""

import functools
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from local_test.sagemaker import jobs
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.jobs import Ending, ended, stopping
from local_test.sagemaker.metrics import Point
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training import actions as training
from local_test.sagemaker.tuning import results, warm_start
from local_test.sagemaker.tuning.plan import Part, Plan
from local_test.sagemaker.tuning.search import Search, Trial
from local_test.sagemaker.tuning.training_request import resources, training_request

LOOK = 1.0  # seconds between two checks of the time
ATTEMPTS = 5  # the number of training jobs that may fail before the first success
STAGNATION = (
    30  # jobs without improvement that count as convergence: Optuna's own measure, since AWS's is not documented
)
# These texts come from reports of users (amazon-sagemaker-examples#2436, #2437).
NONE_SUCCEEDED = (
    f"No training job succeeded after {ATTEMPTS} attempts. For additional details, please take a look at the training job "
    "failures by listing training jobs for the hyperparameter tuning job."
)
ALL_FAILED = "All training jobs failed. Please take a look at the training jobs failures to get more details."
NO_METRICS = (
    "No objective metrics found after running {count} training jobs. Please ensure that the custom algorithm is emitting the "
    "objective metric as defined by the regular expression provided."
)


@dataclass(frozen=True)
class Launched:
    """A running training job, and the trial with its hyperparameters."""

    job: Resource
    trial: Trial
    search: Search
    part: Part


class TuningJob:
    """One tuning job; `run` returns when the job has ended."""

    def __init__(self, cloud: Cloud, resource: Resource) -> None:
        self.cloud = cloud
        self.resource = resource
        self.plan = Plan.of(resource.request)
        self.searches = [Search(self.plan, part) for part in self.plan.parts]
        # The combinations that are left for the strategy Grid.
        self.left = [part.combinations for part in self.plan.parts]
        self.running: list[Launched] = []
        self.launched = 0
        self.began = time.time()

    def run(self) -> None:
        """Bring the tuning job to its end, whatever happens."""
        jobs.bring_to_end(self._tune, self._end)

    def _tune(self) -> Ending:
        for chosen, value in warm_start.lessons(self.resource.request, self.cloud):
            self.searches[0].learn(chosen, value)
        while True:
            self._take_ended()
            if ending := self._ending():
                return ending
            self._launch()
            self.cloud.store.wait(self._moved, LOOK)

    def _launch(self) -> None:
        """Launch training jobs up to the limits, and up to the room on this machine. If a job had to wait for room, its
        hyperparameters would have been chosen without the results of the running jobs.
        """
        while len(self.running) < self._parallel() and not self._all_launched():
            number = self._next_part()
            part, search = self.plan.parts[number], self.searches[number]
            trial = search.ask()
            self.launched += 1
            self.left[number] -= 1
            name = f"{self.resource.name}-{self.launched:03d}-{uuid.uuid4().hex[:8]}"
            with self.cloud.store.changing(self.resource) as state:
                state[results.TRIALS].append({"TrainingJobName": name, "Part": number, "Tuned": trial.chosen})
            request = training_request(part, name, trial.chosen, self.resource.tags)
            watch = functools.partial(self._hear, name, trial, search, part)
            job = training.start(request, self.cloud, watch, TuningJobArn=self.resource.arn)
            self.running.append(Launched(job=job, trial=trial, search=search, part=part))

    def _hear(self, name: str, trial: Trial, search: Search, part: Part, points: Sequence[Point]) -> None:
        """Read a training job's metrics as they come, and stop the job early if its search says so."""
        values = [point.value for point in points if point.name == part.objective.metric]
        if any([search.report(trial, value) for value in values]):
            self.cloud.say(f"tuning job {self.resource.name}: {name} is stopped early")
            self._stop(name)

    def _take_ended(self) -> None:
        """Give the searches the results of the training jobs that have ended."""
        for launched in [launched for launched in self.running if ended(launched.job)]:
            self.running.remove(launched)
            value = results.objective_value(launched.job, launched.part.objective.metric)
            launched.search.tell(launched.trial, value, launched.job.state["TrainingJobStatus"] == "Completed")
            self.cloud.say(f"tuning job {self.resource.name}: {launched.job.name} {_outcome(launched, value)}")

    def _ending(self) -> Ending | None:
        """Return the tuning job's end, or None while it continues."""
        if self.cloud.background.ending.is_set():
            return Ending("Failed", "InternalServerError: the emulator was stopped while the tuning job ran")
        if stopping(self.resource):
            return Ending("Stopped")
        found = results.summaries(self.resource, self.cloud)
        if failure := self._failure(found):
            return Ending("Failed", failure)
        if self._met(found) or (self._all_launched() and not self.running):
            return Ending("Completed")
        return None

    def _failure(self, found: Sequence[results.Summary]) -> str:
        """Return the reason why the tuning job fails: all its training jobs failed, or no job has an objective."""
        over = self._all_launched() and not self.running
        counters, objectives = results.status_counters(found), results.objective_counters(found)
        failed = counters["RetryableError"] + counters["NonRetryableError"]
        if objectives["Succeeded"] or not (over or objectives["Failed"] >= ATTEMPTS):
            return ""
        if objectives["Failed"] == failed:
            return NONE_SUCCEEDED if failed >= ATTEMPTS else ALL_FAILED
        # Jobs that a client stopped before their first value say nothing about the regular expression.
        return NO_METRICS.format(count=objectives["Failed"]) if counters["Completed"] else ""

    def _met(self, found: Sequence[results.Summary]) -> bool:
        """Return whether a completion criterion is met (G23 automatic-model-tuning-progress)."""
        if self.plan.seconds is not None and time.time() - self.began > self.plan.seconds:
            return True
        criteria, objective = self.plan.criteria, self.plan.objective
        top, target = results.best(found, objective), criteria.get("TargetObjectiveMetricValue")
        value = results.value_of(top) if top else None
        if value is not None and target is not None and (value == target or objective.better(value, target)):
            return True
        idle = results.not_improving(found, objective)
        limit = (criteria.get("BestObjectiveNotImproving") or {}).get("MaxNumberOfTrainingJobsNotImproving")
        if limit is not None and idle >= limit:
            return True
        if idle < STAGNATION or (criteria.get("ConvergenceDetected") or {}).get("CompleteOnConvergence") != "Enabled":
            return False
        self.cloud.store.update(self.resource, **{results.CONVERGED: time.time()})
        return True

    def _all_launched(self) -> bool:
        return self.plan.jobs is not None and self.launched >= self.plan.jobs

    def _next_part(self) -> int:
        """Return the number of the next definition. The definitions take turns; with Grid, only those that have combinations left."""
        numbers = range(len(self.plan.parts))
        open_parts = [number for number in numbers if self.plan.strategy != "Grid" or self.left[number]]
        return open_parts[self.launched % len(open_parts)]

    def _parallel(self) -> int:
        """Return how many training jobs may run at a time."""
        hosts: int = max(resources(part.definition).get("InstanceCount", 1) for part in self.plan.parts)
        return min(self.plan.parallel, max(1, self.cloud.background.places // hosts))

    def _moved(self) -> bool:
        return stopping(self.resource) or any(ended(launched.job) for launched in self.running)

    def _stop_all(self) -> None:
        """Stop the training jobs that still run, and wait for their ends."""
        for launched in self.running:
            self._stop(launched.job.name)
        while self.running:
            self.cloud.store.wait(lambda: any(ended(launched.job) for launched in self.running), LOOK)
            self._take_ended()

    def _stop(self, name: str) -> None:
        with suppress(ApiError):  # the job may have ended meanwhile
            training.stop({"TrainingJobName": name}, self.cloud)

    def _end(self, ending: Ending) -> None:
        self._stop_all()
        jobs.end(self.resource, self.cloud, ending)


def _outcome(launched: Launched, value: float | None) -> str:
    shown = ", ".join(f"{name} {value}" for name, value in launched.trial.chosen.items())
    objective = "no objective" if value is None else f"{launched.part.objective.metric} {value:g}"
    return f"{launched.job.state['TrainingJobStatus']}: {shown}; {objective}"
