"""Warm start: a tuning job learns from earlier tuning jobs, its parents.

AWS's rules for warm start are checked before anything is sent. They come from the page on warm start in the developer guide.
"""

from collections.abc import Mapping
from typing import Any, Literal

from classifier.errors import ConfigError
from launch.aws.errors import AwsError
from launch.aws.jobs import kinds, trials
from launch.aws.requests.tuning import tuning_job
from launch.aws.session import Session
from launch.aws.specification import Tuning

Kind = Literal["IdenticalDataAndAlgorithm", "TransferLearning"]
PARENTS = 5
CHANGES = 10  # the most changes to hyperparameters that are not varied
GROUPS = {
    "IntegerParameterRanges": "a range of whole numbers",
    "ContinuousParameterRanges": "a range of numbers",
    "CategoricalParameterRanges": "a choice",
}


def parents(session: Session, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return the described parents by name. Raises ConfigError for too many parents, and AwsError for a parent that does not exist."""
    if len(set(names)) < len(names) or len(names) > PARENTS:
        raise ConfigError(f"--warm-start names {', '.join(names)}; at most {PARENTS} different tuning jobs are allowed")
    found = {}
    for name in names:
        try:
            found[name] = kinds.describe(session, "tuning", name)
        except AwsError as error:
            if kinds.is_missing(error):
                text = f"--warm-start {name}: there is no such tuning job; byoc jobs lists the jobs"
                raise AwsError(text, error.code) from None
            raise
    return found


def check(wanted: Tuning, found: Mapping[str, Mapping[str, Any]]) -> Kind:
    """Return the type of warm start that the parents allow. Raises ConfigError with all broken rules, one a line."""
    request = tuning_job(wanted)
    problems = [text for name, parent in found.items() for text in _problems(request, name, parent)]
    if wanted.strategy not in ("Bayesian", "Random"):
        problems.append(f"--warm-start cannot be used with --strategy {wanted.strategy}; use Bayesian or Random")
    if problems:
        raise ConfigError("\n".join(problems))
    return (
        "IdenticalDataAndAlgorithm" if all(_same(request, parent) for parent in found.values()) else "TransferLearning"
    )


def _problems(request: Mapping[str, Any], name: str, parent: Mapping[str, Any]) -> list[str]:
    what = f"--warm-start {name}"
    status = kinds.state(kinds.KINDS["tuning"], parent)
    if status not in kinds.KINDS["tuning"].ends:
        return [f"{what}: the parent is {status}; wait for its end, or stop it with byoc stop {name}"]
    if "TrainingJobDefinition" not in parent:
        return [f"{what}: a tuning job with several training job definitions cannot be a parent"]
    problems = []
    now, then = _objective(request), _objective(parent)
    if now != then:
        problems.append(
            f"{what}: the parent's objective is {then[1]} ({then[0]}), and the new job's is {now[1]} ({now[0]}); both must be the same"
        )
    varied, earlier = _kinds(request), _kinds(parent)
    fixed, before = trials.static(request), trials.static(parent)
    mine, others = varied.keys() | fixed.keys(), earlier.keys() | before.keys()
    if len(mine) != len(others):
        differ = ", ".join(sorted(mine ^ others))
        problems.append(
            f"{what}: the parent has {len(others)} hyperparameters, and the new job has {len(mine)}; the numbers must be equal ({differ})"
        )
    problems += [
        f"{what}: {hyperparameter} was {GROUPS[earlier[hyperparameter]]}, and is {GROUPS[group]}; the kind must not change"
        for hyperparameter, group in varied.items()
        if earlier.get(hyperparameter, group) != group
    ]
    changes = sum(1 for key in fixed if key in earlier) + sum(
        2 for key in fixed if before.get(key, fixed[key]) != fixed[key]
    )
    if changes > CHANGES:
        problems.append(
            f"{what}: there are {changes} changes to hyperparameters that are not varied; at most {CHANGES} are allowed"
        )
    return problems


def _same(request: Mapping[str, Any], parent: Mapping[str, Any]) -> bool:
    """Return whether image, data and ranges are the same as those of a parent."""
    now, then = request["TrainingJobDefinition"], parent["TrainingJobDefinition"]
    return (
        now["AlgorithmSpecification"].get("TrainingImage") == then["AlgorithmSpecification"].get("TrainingImage")
        and _sources(now) == _sources(then)
        and trials.static(request) == trials.static(parent)
        and _kinds(request).keys() == _kinds(parent).keys()
    )


def _objective(answer: Mapping[str, Any]) -> tuple[str, str]:
    found = answer["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective") or {}
    return str(found.get("Type")), str(found.get("MetricName"))


def _kinds(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the member of ParameterRanges that holds each varied hyperparameter, by the hyperparameter's name."""
    found = answer["HyperParameterTuningJobConfig"].get("ParameterRanges") or {}
    return {one["Name"]: group for group in GROUPS for one in found.get(group) or []}


def _sources(definition: Mapping[str, Any]) -> dict[str, str]:
    channels = definition.get("InputDataConfig") or []
    return {
        channel["ChannelName"]: channel["DataSource"].get("S3DataSource", {}).get("S3Uri", "") for channel in channels
    }
