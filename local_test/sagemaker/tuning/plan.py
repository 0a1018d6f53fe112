"""Reads a tuning job's request: the searched hyperparameters, the objective, and the training jobs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_test.sagemaker.tuning.ranges import Parameter, parameters

# The static hyperparameters that may set the number of epochs of a training job (API, HyperbandStrategyConfig.MaxResource).
EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")


@dataclass(frozen=True)
class Objective:
    """The metric by which training jobs are judged."""

    metric: str
    maximize: bool

    def better(self, value: float, than: float) -> bool:
        return value > than if self.maximize else value < than

    @property
    def answer(self) -> dict[str, str]:
        return {"Type": "Maximize" if self.maximize else "Minimize", "MetricName": self.metric}


@dataclass(frozen=True)
class Part:
    """One training job definition with its objective and ranges."""

    definition: Mapping[str, Any]
    objective: Objective
    parameters: tuple[Parameter, ...]

    @property
    def name(self) -> str | None:
        return self.definition.get("DefinitionName")

    @property
    def static(self) -> dict[str, str]:
        return dict(self.definition.get("StaticHyperParameters") or {})

    @property
    def combinations(self) -> int:
        return math.prod(len(parameter.values) for parameter in self.parameters)


@dataclass(frozen=True)
class Plan:
    """The content of a request."""

    strategy: str
    parts: tuple[Part, ...]
    jobs: int | None  # the most training jobs; None means no such limit
    parallel: int
    seconds: float | None
    early_stopping: bool
    seed: int | None
    config: Mapping[str, Any]

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> "Plan":
        """Read a request that the rules have passed."""
        config = request["HyperParameterTuningJobConfig"]
        limits = config["ResourceLimits"]
        plan_parts = parts(request)
        grid = config["Strategy"] == "Grid"
        return cls(
            strategy=config["Strategy"],
            parts=plan_parts,
            jobs=sum(part.combinations for part in plan_parts) if grid else limits.get("MaxNumberOfTrainingJobs"),
            parallel=limits["MaxParallelTrainingJobs"],
            seconds=limits.get("MaxRuntimeInSeconds"),
            early_stopping=config.get("TrainingJobEarlyStoppingType") == "Auto",
            seed=config.get("RandomSeed"),
            config=config,
        )

    @property
    def objective(self) -> Objective:
        """Return the objective; all parts have the same type of objective."""
        return self.parts[0].objective

    @property
    def criteria(self) -> Mapping[str, Any]:
        return self.config.get("TuningJobCompletionCriteria") or {}

    def resources(self, part: Part) -> tuple[int, int]:
        """Return Hyperband's smallest and largest number of epochs."""
        hyperband = (self.config.get("StrategyConfig") or {}).get("HyperbandStrategyConfig") or {}
        return hyperband.get("MinResource", 1), hyperband.get("MaxResource") or epochs(part.static)


def parts(request: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return the training job definitions, each with its objective and ranges; raises ApiError for a range that is wrong."""
    config = request["HyperParameterTuningJobConfig"]
    if single := request.get("TrainingJobDefinition"):
        return (_part(single, config["HyperParameterTuningJobObjective"], config.get("ParameterRanges") or {}),)
    return tuple(
        _part(entry, entry["TuningObjective"], entry.get("HyperParameterRanges") or {})
        for entry in request["TrainingJobDefinitions"]
    )


def epochs(static: Mapping[str, str]) -> int:
    """Return the number of epochs that a static hyperparameter sets; 0 if no hyperparameter sets it."""
    return next((int(static[name]) for name in EPOCHS if static.get(name, "").isdecimal()), 0)


def _part(definition: Mapping[str, Any], objective: Mapping[str, str], ranges: Mapping[str, Any]) -> Part:
    judged = Objective(objective["MetricName"], objective["Type"] == "Maximize")
    return Part(definition, judged, tuple(parameters(ranges)))
