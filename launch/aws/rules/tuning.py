"""Rules of CreateHyperParameterTuningJob."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from launch.aws.rules.training import SHARED, preferences, refused, scripted
from launch.aws.words import in_toml
from train.config import translated

Request = Mapping[str, Any]
KINDS = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
# The names under which Hyperband knows the number of epochs, and the most epochs of a training job (API, HyperbandStrategyConfig).
EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
MOST_EPOCHS = 20_000


def training_jobs(request: Request) -> Iterator[str]:
    """The rules for a training job also hold for the training jobs of a tuning job."""
    for rule in (*SHARED, preferences):
        yield from rule(_definition(request))


def resources(request: Request) -> Iterator[str]:
    """Instances are named in one of two ways, and not in both (API, HyperParameterTuningResourceConfig)."""
    definition = _definition(request)
    own = definition.get("HyperParameterTuningResourceConfig")
    if bool(own) == bool(definition.get("ResourceConfig")):
        yield "ResourceConfig and HyperParameterTuningResourceConfig exclude each other, and one of them is needed"
    elif own and not (own.get("InstanceType") or own.get("InstanceConfigs")):
        yield f"no instance type is named; write --instance TYPE, or {in_toml('train_types')}"


def objective(request: Request) -> Iterator[str]:
    """The objective needs a metric definition, also for images that are not AWS's (aws/sagemaker-python-sdk#3932)."""
    metric = request["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective", {}).get("MetricName")
    known = [entry["Name"] for entry in _definition(request)["AlgorithmSpecification"].get("MetricDefinitions", [])]
    if metric not in known:
        yield f"the objective {metric} is not among the metrics {', '.join(known)}"


def ranges(request: Request) -> Iterator[str]:
    """Ranges have the right form, and each scale allows only some numbers (API, ParameterRanges, ContinuousParameterRange,
    IntegerParameterRange).
    """
    found = _ranges(request)
    if not found:
        yield "no hyperparameter is to be tuned; write --range NAME=LOW:HIGH or --choice NAME=A,B"
    for kind, entry in found:
        yield from _faults(kind, entry)


def disjoint(request: Request) -> Iterator[str]:
    """A hyperparameter must not be both static and tuned. AWS refuses it, and the SDK drops it without a message (V2, tuner.py)."""
    static = _definition(request)["StaticHyperParameters"]
    names = [entry["Name"] for _, entry in _ranges(request)]
    for place, name in enumerate(names):
        for fixed in _same(name, static):
            yield (
                f"{name} is to be tuned (--range or --choice), and {fixed} is set to {static[fixed]} (--set); leave one of "
                "them out"
            )
        for other in _same(name, names[:place]):
            yield f"{other} and {name} are two ranges of the same hyperparameter; leave out one of them"
    if len(static) + len(names) > 100:  # API, CreateTrainingJob.HyperParameters
        yield f"{len(static)} hyperparameters are set and {len(names)} tuned; a training job takes at most 100 in all"


def hyperparameters(request: Request) -> Iterator[str]:
    """The training program must accept both ends of a range, the values between them, and each choice."""
    definition = _definition(request)
    static = definition["StaticHyperParameters"]
    if scripted(definition, static):
        return
    known = refused(static)
    yield from known
    for kind, entry in _ranges(request):
        if not any(_faults(kind, entry)):
            others = {name: value for name, value in static.items() if name not in _same(entry["Name"], static)}
            problems = [text for value in _values(kind, entry) for text in refused({**others, entry["Name"]: value})]
            yield from (text for text in problems if text not in known)


def strategy(request: Request) -> Iterator[str]:
    """Each strategy has its own rules (API, HyperbandStrategyConfig; guide, automatic-model-tuning-how-it-works)."""
    config = request["HyperParameterTuningJobConfig"]
    chosen = config["Strategy"]
    if chosen == "Grid":
        yield from _grid(request)
    if chosen == "Hyperband":
        yield from _hyperband(request)
    elif config.get("StrategyConfig"):
        yield f"a smallest and a largest number of epochs are only for Hyperband, and the strategy is {chosen}"


def _grid(request: Request) -> Iterator[str]:
    combinations = 1
    for kind, entry in _ranges(request):
        if kind != "CategoricalParameterRanges":
            yield f"a grid search takes only choices; write --choice {entry['Name']}=A,B instead of its range"
            return
        combinations *= len(entry["Values"])
    most = request["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if most not in (None, combinations):
        yield (
            f"a grid of these choices needs {combinations} training jobs, and --trials is {most}; pass --trials "
            f"{combinations}, or fewer choices"
        )


def _hyperband(request: Request) -> Iterator[str]:
    config = request["HyperParameterTuningJobConfig"]
    if config.get("TrainingJobEarlyStoppingType") == "Auto":
        yield "Hyperband stops training jobs by itself; leave out --early-stopping"
    static = _definition(request)["StaticHyperParameters"]
    epochs = next((static[name] for name in EPOCHS if name in static), "0")
    band = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    most = band.get("MaxResource") or _number(epochs)
    if not most:
        yield "Hyperband needs the largest number of epochs; write --set epochs=MOST"
    elif not most <= MOST_EPOCHS:
        yield f"Hyperband takes at most {MOST_EPOCHS} epochs, and epochs is {most:g}"
    elif band.get("MinResource", 1) > most:
        yield f"Hyperband's smallest number of epochs, {band['MinResource']}, is more than the largest, {most:g}"


def _faults(kind: str, entry: Mapping[str, Any]) -> Iterator[str]:
    name = entry["Name"]
    if kind == "CategoricalParameterRanges":
        if len(set(entry["Values"])) < len(entry["Values"]):
            yield f"the choices of {name} contain a value twice: {', '.join(entry['Values'])}"
        return
    low, high = _number(entry["MinValue"]), _number(entry["MaxValue"])
    whole = kind == "IntegerParameterRanges"
    text = f"the range of {name}, {entry['MinValue']} to {entry['MaxValue']},"
    if not (math.isfinite(low) and math.isfinite(high)) or (whole and (low % 1 or high % 1)):
        yield f"{text} must be between two {'whole numbers' if whole else 'numbers'}"
        return
    scale = entry.get("ScalingType")
    if low >= high:
        yield f"{text} must rise"
    if scale == "Logarithmic" and low <= 0:
        yield f"{text} must be above 0 for a logarithmic scale"
    if scale == "ReverseLogarithmic" and (whole or low < 0 or high >= 1):
        yield f"{text} must be in 0 <= x < 1, and not of whole numbers, for a reverse logarithmic scale"


def _definition(request: Request) -> dict[str, Any]:
    definition: dict[str, Any] = request.get("TrainingJobDefinition", {})
    return {"StaticHyperParameters": {}, "AlgorithmSpecification": {}, **definition}


def _ranges(request: Request) -> list[tuple[str, dict[str, Any]]]:
    found = request["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    return [(kind, entry) for kind in KINDS for entry in found.get(kind, [])]


def _values(kind: str, entry: Mapping[str, Any]) -> list[str]:
    """Return some values of a range: both ends, and for a continuous range also one in between."""
    if kind == "CategoricalParameterRanges":
        return list(entry["Values"])
    ends = [entry["MinValue"], entry["MaxValue"]]
    low, high = map(_number, ends)
    if kind == "IntegerParameterRanges" or not (math.isfinite(low) and low < high < math.inf):
        return ends
    return [*ends, repr(low + (high - low) / math.pi)]  # not a whole number


def _same(name: str, others: Collection[str]) -> list[str]:
    """Return the names in `others` that the training program reads as the same hyperparameter, as in batch_size and batch-size."""
    return [other for other in others if _ours(other) == _ours(name)]


def _ours(name: str) -> str:
    return next(iter(translated({name: "1"}).values), name)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


RULES = (training_jobs, resources, objective, ranges, disjoint, hyperparameters, strategy)
