"""The epochs of a run by stage of training, and what is said where there are none."""

from reports.facts import Epoch, Run

NO_RUN = "There are no records of a training run."
NO_EPOCHS = "No epoch was recorded."


def stages(run: Run) -> dict[str, list[Epoch]]:
    """Return the epochs of each stage, in their order."""
    found: dict[str, list[Epoch]] = {}
    for epoch in sorted(run.epochs, key=lambda epoch: epoch.number):
        found.setdefault(epoch.stage, []).append(epoch)
    return found
