"""A training or tuning job on SageMaker as a source of `byoc report JOB`. It is read once, or repeatedly while the job runs."""

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch.aws.errors import AwsError, CredentialsError
from launch.aws.jobs import events, kinds
from launch.aws.jobs.follow import POLL, near
from launch.aws.jobs.results import price_of
from launch.aws.jobs.trials import Trial, best, list_trials, objective
from launch.aws.prices import Prices
from launch.aws.reports.described import training_job, tuning_job
from launch.aws.reports.fetch import fetch
from launch.aws.reports.log import empty_run, log_run
from launch.aws.session import Session
from launch.report_sources import Found
from reports import facts
from reports.report import read_any
from reports.rules.verdict import Evidence
from reports.sagemaker_job import SageMakerJob

LOOPBACK = 0.5  # seconds between two reads of a local SageMaker
NOTHING = Evidence(run=None, profile=None)
ACCURACY, LOSS = "validation:accuracy", "validation:loss"  # the objectives that the charts of trials can show


class JobSource:
    """A training or tuning job. `look` reads its present state; when the job has ended, its outputs are downloaded once."""

    def __init__(self, session: Session, name: str, scratch: Path, prices: Prices) -> None:
        """Raises AwsError if no training or tuning job has the name. `scratch` is a folder for downloads."""
        self._pause = LOOPBACK if near(session) else 1.5 * POLL
        self._at, self._ended = -math.inf, False
        self.name, self._session, self._scratch = name, session, scratch
        self._prices = prices
        self._kind = _kind_of(session, name)
        self._lines: list[events.Line] = []
        self._log: events.LogReader | None = None
        self._last: object = None

    def look(self) -> Found | None:
        """Return the present state of the job. Raises AwsError.

        Return None if nothing has changed since the last call, if the job had ended by the last call, or if AWS was asked only a moment
        ago.
        """
        if self._ended or time.monotonic() - self._at < self._pause:
            return None
        self._at = time.monotonic()
        answer = kinds.describe(self._session, self._kind.name, self.name)
        found = self._training(answer) if self._kind.name == "training" else self._tuning(answer)
        state = (found.evidence.job, found.evidence.run, found.missing)
        if state == self._last:
            return None
        self._last, self._ended = state, found.evidence.job is not None and found.evidence.job.ended
        return found

    def _training(self, answer: dict[str, Any]) -> Found:
        job = training_job(self.name, answer, self._prices)
        evidence, missing = self._outputs(answer) if job.ended else (NOTHING, ())
        run = evidence.run
        if run is None:
            problems = self._read_log(answer)
            run = log_run(self.name, self._lines, ended=job.ended)
            missing = (*missing, *(run.missing if run else ()), *problems)
        found = self._found(dataclasses.replace(evidence, job=job, run=run), job, missing)
        return dataclasses.replace(found, price=price_of(self._prices, answer))

    def _tuning(self, answer: dict[str, Any]) -> Found:
        trials = list_trials(self._session, self.name)
        job = tuning_job(self.name, answer, trials, self._prices)
        evidence, missing, price = NOTHING, tuple[str, ...](), None
        found, metric = best(answer), objective(answer)
        if job.ended and found:
            one = kinds.describe(self._session, "training", found.name)
            evidence, missing = self._outputs(one)
            price = price_of(self._prices, one)
        run = evidence.run or empty_run(f"tuning job {self.name}", ended=job.ended)
        run = dataclasses.replace(run, trials=tuple(_trials(trials, metric)))
        if metric not in (ACCURACY, LOSS):
            missing = (
                *missing,
                f"The objective {metric} is in the table of training jobs, not in the charts of trials.",
            )
        whole = self._found(dataclasses.replace(evidence, job=job, run=run), job, missing)
        return dataclasses.replace(whole, price=price)

    def _found(self, evidence: Evidence, job: SageMakerJob, missing: Sequence[str]) -> Found:
        goes_on = f"The {job.kind} is {job.status}{'.' if job.ended else ' and still runs.'}"
        return Found(
            evidence=evidence,
            name=self.name,
            source=f"{job.kind} {self.name} in {self._session.region}",
            missing=tuple(missing),
            state=goes_on,
        )

    def _outputs(self, answer: dict[str, Any]) -> tuple[Evidence, tuple[str, ...]]:
        """Download the outputs of a described training job that has ended.

        Return the evidence in them, and a sentence for each thing that is missing.
        """
        name, missing = answer["TrainingJobName"], list[str]()
        folder = self._scratch / name
        folder.mkdir(exist_ok=True)
        places = output_places(answer)
        for uri in places:
            try:
                missing += fetch(self._session, uri, folder).missing
            except CredentialsError:
                raise
            except AwsError as error:  # the report can still show SageMaker's description of the job
                missing.append(f"{error}.")
        evidence, more = read_any(folder, called=next(iter(places), name))
        return evidence, (*missing, *more)

    def _read_log(self, answer: dict[str, Any]) -> tuple[str, ...]:
        """Read the new lines of the log. If AWS does not allow that, return a sentence about it."""
        if self._log is None:
            began = answer["CreationTime"].timestamp()
            self._log = events.reader(self._session, kinds.KINDS["training"], self.name, began)
        try:
            self._lines += [line for line in self._log.new() if "accuracy" in line.text]
        except AwsError as error:
            return (f"The log of the job cannot be read: {error}.",)
        return ()


def output_places(answer: dict[str, Any]) -> list[str]:
    """Return the S3 prefixes of a described training job's outputs."""
    name, found = answer["TrainingJobName"], []
    for config, member in (("OutputDataConfig", "S3OutputPath"), ("ProfilerConfig", "S3OutputPath")):
        if root := str((answer.get(config) or {}).get(member, "")):
            found.append(f"{root.rstrip('/')}/{name}/")
    return list(dict.fromkeys(found))


def _kind_of(session: Session, name: str) -> kinds.Kind:
    asked: tuple[kinds.Name, ...] = ("training", "tuning")
    for kind in asked:
        try:
            kinds.describe(session, kind, name)
        except AwsError as error:
            if not kinds.is_missing(error):
                raise
        else:
            return kinds.KINDS[kind]
    raise AwsError(
        f"{name} is neither a file nor a folder here, nor a training or tuning job in {session.region}; list the jobs "
        "with byoc jobs, or name another region with --region",
        "ResourceNotFound",
    )


def _trials(trials: Sequence[Trial], metric: str) -> list[facts.Trial]:
    return [
        facts.Trial(
            number=number,
            hyperparameters={name: _number(value) for name, value in trial.hyperparameters.items()},
            accuracy=trial.value if metric == ACCURACY else None,
            loss=trial.value if metric == LOSS else None,
            seconds=trial.seconds,
            reason=trial.reason,
        )
        for number, trial in enumerate(trials, 1)
    ]


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
