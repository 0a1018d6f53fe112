"""SageMaker's description of a training or tuning job, as the report takes it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TuningTrial:
    """One training job of a tuning job. `value` is the value of the objective metric."""

    name: str
    status: str
    hyperparameters: Mapping[str, str]
    value: float | None
    seconds: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class SageMakerJob:
    """The description of a job. The page shows `facts` unchanged: status, instances, billed seconds, cost."""

    name: str
    kind: str  # "training job" or "tuning job"
    status: str
    reason: str  # the reason of a failure, in SageMaker's words
    ended: bool
    facts: tuple[tuple[str, str], ...]
    hyperparameters: Mapping[str, str]
    phases: tuple[tuple[str, float], ...] = ()  # pairs of name and seconds; the last phase may still be running
    objective: str = ""  # the name of the objective metric; for a tuning job only
    trials: tuple[TuningTrial, ...] = ()
