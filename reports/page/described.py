"""Turns SageMaker's description of a job into facts and tables of the section "Job"."""

from reports.page.document import Column, Table, table_of
from reports.page.numbers import plain
from reports.sagemaker_job import SageMakerJob


def described_facts(job: SageMakerJob) -> list[tuple[str, str]]:
    """Return the facts in SageMaker's description of a job."""
    reason = f": {job.reason}" if job.reason else ""
    return [(job.kind[:1].upper() + job.kind[1:], job.name), ("Status", f"{job.status}{reason}"), *job.facts]


def described_tables(job: SageMakerJob, *, hyperparameters: bool) -> list[Table]:
    """Return tables of the phases of a job, of the trials of a tuning job and, if `hyperparameters`, of the hyperparameters."""
    seconds = Column(name="time", form="seconds")
    found = [table_of("Phases on SageMaker", (Column(name="phase"), seconds), job.phases)]
    names = list(dict.fromkeys(name for trial in job.trials for name in trial.hyperparameters))
    found.append(
        table_of(
            "Training jobs of the tuning job",
            (
                Column(name="training job"),
                Column(name="status"),
                Column(name=job.objective or "objective", form="number"),
                seconds,
                *(Column(name=name) for name in names),
                Column(name="reason"),
            ),
            [
                [
                    trial.name,
                    trial.status,
                    plain(trial.value),
                    trial.seconds,
                    *(trial.hyperparameters.get(name, "") for name in names),
                    trial.reason,
                ]
                for trial in job.trials
            ],
        )
    )
    if hyperparameters:
        columns = (Column(name="name"), Column(name="value"))
        found.append(table_of("Hyperparameters", columns, list(job.hyperparameters.items())))
    return found
