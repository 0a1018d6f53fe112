"""The rule SimilarAcrossRuns, which compares the numbers and the settings of two runs."""

from collections.abc import Mapping

from reports.facts import Run, Setting
from reports.rules.thresholds import Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered


def similar(evidence: Evidence, limits: Thresholds) -> Verdict | None:
    """Judge whether two runs with different settings have the same losses, or two runs with the same settings different losses.

    Return None if the set has no thresholds for this rule.
    """
    if limits.similar is None:
        return None
    if evidence.run is None or evidence.other is None:
        return not_judged("This rule compares two training runs.")
    first, second = evidence.run, evidence.other
    apart = _apart(first, second)
    if not apart:
        return not_judged("The two runs have no losses of the same epoch.")
    largest = max(apart.values())
    place = next(name for name, value in apart.items() if value == largest)
    said = f"Both runs have {len(apart)} losses of the same epochs; the largest difference is {100 * largest:.2g} % ({place})"
    reasons = differences(first, second)
    same = largest <= limits.similar.tolerance
    if same and reasons:
        return triggered(
            f"{said}, although the runs differ in {', '.join(reasons)}.",
            len(apart),
            advice="The change had no effect on training. Check whether it is the change that you meant to make.",
            loss=0.5,
        )
    if not same and not reasons:
        return triggered(
            f"{said}, although settings, numbers of photos, classes and versions are the same.",
            len(apart),
            advice="Check whether the photos themselves changed, and whether the runs had the same number of processes and cores.",
            loss=0.5,
        )
    why = f"They differ in {', '.join(reasons)}" if reasons else "Their settings and versions are the same"
    return quiet(f"{said}. {why}.", len(apart))


def settings(run: Run) -> Mapping[str, Setting]:
    """Return the hyperparameters of the kept model: the job's, replaced by those of the best trial."""
    held = dict(run.job.hyperparameters) if run.job else {}
    if run.best_trial:
        held |= run.best_trial.hyperparameters
    return held


def different(first: Mapping[str, object], second: Mapping[str, object]) -> list[str]:
    """Return the names whose values differ, and the names that only one of the two mappings holds."""
    return [name for name in dict.fromkeys([*first, *second]) if first.get(name) != second.get(name)]


def differences(first: Run, second: Run) -> list[str]:
    """Return, in words, the differences between two runs that may change their losses."""
    found = different(settings(first), settings(second))
    one, other = first.job, second.job
    if one and other:
        found += [f"photos of {split}" for split in different(one.photos, other.photos)]
        found += ["classes"] if one.classes != other.classes else []
        found += [f"version of {name}" for name in different(one.libraries, other.libraries)]
        found += ["version of the program"] if one.program != other.program else []
        found += ["number of processes"] if one.processes != other.processes else []
    return found


def _apart(first: Run, second: Run) -> dict[str, float]:
    """Return the relative difference of each loss that both runs have for the same epoch. The keys name the loss and the epoch."""
    others = {(epoch.stage, epoch.number): epoch for epoch in second.epochs}
    found = {}
    for epoch in first.epochs:
        other = others.get((epoch.stage, epoch.number))
        pairs = {
            "training": (epoch.train_loss, other.train_loss if other else None),
            "validation": (epoch.validation_loss, other.validation_loss if other else None),
        }
        for name, (a, b) in pairs.items():
            if a is not None and b is not None:
                size = max(abs(a), abs(b))
                found[f"{name}, {epoch.stage} {epoch.number}"] = abs(a - b) / size if size else 0.0
    return found
