"""Groups the epochs of a run by stage of training, and judges each stage."""

from collections.abc import Callable, Sequence

from reports.facts import Epoch, Run
from reports.rules.verdict import Evidence, Verdict, not_judged, worst

NO_RUN = "There are no records of a training run."
NO_EPOCHS = "No epoch was recorded."


def stages(run: Run) -> dict[str, list[Epoch]]:
    """Return the epochs of each stage, in ascending order."""
    found: dict[str, list[Epoch]] = {}
    for epoch in sorted(run.epochs, key=lambda epoch: epoch.number):
        found.setdefault(epoch.stage, []).append(epoch)
    return found


def worst_stage(evidence: Evidence, judge: Callable[[Run, str, Sequence[Epoch]], Verdict]) -> Verdict:
    """Judge each stage separately and return the worst verdict. Without epochs, the verdict is "not judged"."""
    if evidence.run is None:
        return not_judged(NO_RUN)
    run = evidence.run
    held = stages(run)
    if not held:
        return not_judged(NO_EPOCHS)
    return worst(judge(run, stage, epochs) for stage, epochs in held.items())
