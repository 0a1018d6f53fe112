"""Chooses hyperparameters with Optuna, and decides which training jobs are stopped early."""

import itertools
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from local_test.sagemaker.tuning.early_stopping import worse_than_median
from local_test.sagemaker.tuning.plan import Part, Plan
from local_test.sagemaker.tuning.ranges import CATEGORICAL, INTEGER, Parameter

LOGARITHMIC = ("Logarithmic", "ReverseLogarithmic")  # Auto is treated as linear, since AWS does not document its choice
STUDY = "tuning"  # the pruner chooses its brackets by this name, so only a fixed name makes RandomSeed effective
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass
class Trial:
    """The hyperparameters of one training job, and the objective's values that it has reported, one an epoch."""

    chosen: dict[str, str]
    of_optuna: optuna.Trial
    values: list[float] = field(default_factory=list)
    stopped: bool = False  # whether this search has stopped the training job


class Search:
    """The search of one training job definition. Jobs report from their own threads."""

    def __init__(self, plan: Plan, part: Part) -> None:
        self._part = part
        self._early_stopping = plan.early_stopping
        self._distributions = {parameter.name: _distribution(parameter) for parameter in part.parameters}
        self._completed: list[list[float]] = []  # the values of jobs that ran to their end
        self._lock = threading.Lock()
        self._most: int | None = None
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if plan.strategy == "Hyperband":
            least, self._most = plan.resources(part)
            pruner = optuna.pruners.HyperbandPruner(min_resource=least, max_resource=self._most)
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=plan.seed)
        if plan.strategy == "Bayesian":
            sampler = optuna.samplers.TPESampler(seed=plan.seed)
        direction = "maximize" if part.objective.maximize else "minimize"
        self._study = optuna.create_study(study_name=STUDY, direction=direction, sampler=sampler, pruner=pruner)
        if plan.strategy == "Grid":
            for values in itertools.product(*(parameter.values for parameter in part.parameters)):
                self._study.enqueue_trial(dict(zip(self._distributions, values, strict=True)))

    def ask(self) -> Trial:
        """Choose the hyperparameters of the next training job."""
        with self._lock:
            trial = self._study.ask(self._distributions)
        chosen = {parameter.name: parameter.text(trial.params[parameter.name]) for parameter in self._part.parameters}
        return Trial(chosen, trial)

    def report(self, trial: Trial, value: float) -> bool:
        """Take the objective's value after an epoch; return True if the training job has to stop now."""
        with self._lock:
            if trial.stopped or math.isnan(value):
                return False
            trial.values.append(value)
            epoch = len(trial.values)
            trial.of_optuna.report(value, epoch)
            if self._most is not None:
                # A trial is stopped only after its last epoch, so that a job that ends by itself there is Completed.
                trial.stopped = epoch > self._most or (epoch < self._most and trial.of_optuna.should_prune())
            elif self._early_stopping:
                trial.stopped = worse_than_median(trial.values, self._completed, self._part.objective.maximize)
            return trial.stopped

    def tell(self, trial: Trial, value: float | None, completed: bool) -> None:
        """Take the result of a training job that has ended; `value` is None if the job has no objective."""
        with self._lock:
            if value is None:
                self._study.tell(trial.of_optuna, state=TrialState.FAIL)
                return
            if completed:
                self._completed.append(trial.values)
            self._study.tell(trial.of_optuna, value)

    def learn(self, chosen: Mapping[str, str], value: float) -> None:
        """Take the result of a parent's training job, if its hyperparameters are inside the present ranges."""
        try:
            params = {parameter.name: parameter.internal(chosen[parameter.name]) for parameter in self._part.parameters}
            trial = create_trial(params=params, distributions=self._distributions, value=value)
        except (KeyError, ValueError):
            return
        with self._lock:
            self._study.add_trial(trial)


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind == CATEGORICAL:
        return CategoricalDistribution(parameter.values)
    logarithmic = parameter.scaling in LOGARITHMIC
    if parameter.kind == INTEGER:
        return IntDistribution(int(parameter.low), int(parameter.high), log=logarithmic)
    if parameter.scaling == "ReverseLogarithmic":
        return FloatDistribution(1 - parameter.high, 1 - parameter.low, log=True)
    return FloatDistribution(parameter.low, parameter.high, log=logarithmic)
