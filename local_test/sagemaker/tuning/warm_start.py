"""Warm start: the allowed differences between a tuning job and its parents, and what it learns from them (G23
automatic-model-tuning-warm-start).
"""

from collections.abc import Mapping
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.jobs import TUNING, ended
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training.defaults import filled
from local_test.sagemaker.tuning.plan import Part, parts
from local_test.sagemaker.tuning.results import summaries, value_of
from local_test.sagemaker.tuning.training_request import STATIC_METRIC

IDENTICAL = "IdenticalDataAndAlgorithm"
CHANGES = 10  # the most changes of static hyperparameters


def parents(request: Mapping[str, Any], cloud: Cloud) -> list[Resource]:
    """Return the tuning jobs that a request starts from; raises ApiError for one that does not exist."""
    entries = (request.get("WarmStartConfig") or {}).get("ParentHyperParameterTuningJobs") or []
    names = [entry.get("HyperParameterTuningJobName", "") for entry in entries]
    return [
        cloud.store.get(TUNING.word, name, f"Could not find the parent hyperparameter tuning job '{name}'")
        for name in names
    ]


def check(request: Mapping[str, Any], cloud: Cloud) -> None:
    """Raise ApiError unless a request may start from its parents."""
    if not request.get("WarmStartConfig"):
        return
    strategy = request["HyperParameterTuningJobConfig"]["Strategy"]
    if strategy not in ("Bayesian", "Random"):
        raise not_emulated(f"WarmStartConfig with the strategy {strategy}")
    [part] = parts(request)
    for parent in parents(request, cloud):
        if not ended(parent):
            raise invalid(f"the parent hyperparameter tuning job {parent.name} has not ended; wait for it, or stop it")
        before = parts(parent.request)
        if len(before) > 1:
            raise not_emulated(
                f"WarmStartConfig with the parent {parent.name}, which has several training job definitions,"
            )
        _fits(part, before[0], parent.name)
        if request["WarmStartConfig"]["WarmStartType"] == IDENTICAL:
            _identical(part, before[0], parent.name)


def lessons(request: Mapping[str, Any], cloud: Cloud) -> list[tuple[dict[str, str], float]]:
    """Return the hyperparameters and objectives of the parents' own training jobs."""
    found = []
    for parent in parents(request, cloud):
        [part] = parts(parent.request)
        for summary in summaries(parent, cloud):
            if (value := value_of(summary)) is not None:
                found.append(({**part.static, **summary["TunedHyperParameters"]}, value))
    return found


def _fits(part: Part, before: Part, parent: str) -> None:
    if part.objective != before.objective:
        raise invalid(f"the objective must be the same as that of the parent {parent}, {before.objective.answer}")
    if len(_names(part)) != len(_names(before)):
        changed = ", ".join(sorted(_names(part) ^ _names(before)))
        raise invalid(
            f"static and tuned hyperparameters together must be the same number as in the parent {parent}; these "
            f"differ: {changed}"
        )
    kinds = {parameter.name: parameter.kind for parameter in before.parameters}
    for parameter in part.parameters:
        if kinds.get(parameter.name, parameter.kind) != parameter.kind:
            raise invalid(
                f"'{parameter.name}' is {parameter.kind}, and in the parent {parent} it is {kinds[parameter.name]}; the type of a "
                "hyperparameter must not change"
            )
    if (changes := _changes(part, before)) > CHANGES:
        raise invalid(
            f"static hyperparameters have {changes} changes from the parent {parent}; at most {CHANGES} are allowed"
        )


def _changes(part: Part, before: Part) -> int:
    """Count changes as the guide does.

    A tuned hyperparameter that is static now counts once, or once for each value if it is categorical. A static one with
    another value counts twice.
    """
    tuned = {parameter.name: max(1, len(parameter.values)) for parameter in before.parameters}
    static = _static(part)
    fixed = sum(count for name, count in tuned.items() if name in static)
    return fixed + sum(2 for name, value in static.items() if _static(before).get(name, value) != value)


def _identical(part: Part, before: Part, parent: str) -> None:
    """Refuse another training image or other input data than the parent's (API, WarmStartType)."""
    # The parent's definition has AWS's defaults.
    definition, earlier = filled(part.definition), filled(before.definition)
    for member, value in (("AlgorithmSpecification", "TrainingImage"), ("InputDataConfig", "")):
        now, then = definition.get(member), earlier.get(member)
        if (now[value] if value and now else now) != (then[value] if value and then else then):
            raise invalid(
                f"{value or member} differs from that of the parent {parent}; WarmStartType {IDENTICAL} needs the same, "
                "TransferLearning does not"
            )


def _names(part: Part) -> set[str]:
    return set(_static(part)) | {parameter.name for parameter in part.parameters}


def _static(part: Part) -> dict[str, str]:
    return {name: value for name, value in part.static.items() if name != STATIC_METRIC}
