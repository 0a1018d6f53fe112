"""What SageMaker says of a training or tuning job, as it is handed to the report."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TuningTrial:
    """One training job of a tuning job; `value` is that of the objective."""

    name: str
    status: str
    hyperparameters: Mapping[str, str]
    value: float | None
    seconds: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class SageMakerJob:
    """A described job. `facts` are shown as they stand: status, instances, billed seconds, cost."""

    name: str
    kind: str  # training job or tuning job
    status: str
    reason: str  # of a failure, in SageMaker's words
    ended: bool
    facts: tuple[tuple[str, str], ...]
    hyperparameters: Mapping[str, str]
    phases: tuple[tuple[str, float], ...] = ()  # name and seconds; the last one may still go on
    objective: str = ""  # of a tuning job: the metric
    trials: tuple[TuningTrial, ...] = ()
