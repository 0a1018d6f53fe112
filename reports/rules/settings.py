"""Builds the options that advice names, from the names and values of the hyperparameters."""

from collections.abc import Mapping

from reports.facts import Run, Setting

RATE = {"head": "lr", "finetune": "finetune-lr"}
EPOCHS = {"head": "epochs", "finetune": "finetune-epochs"}


def hyperparameters(run: Run) -> Mapping[str, Setting]:
    """Return the job's hyperparameters; an empty mapping if they are not known."""
    return run.job.hyperparameters if run.job else {}


def rate(run: Run, stage: str, times: float) -> str:
    """Return the option that sets the learning rate of a stage to `times` its value in the run."""
    name = RATE.get(stage, "lr")
    value = hyperparameters(run).get(name)
    return f"--set {name}={value * times:.3g}" if isinstance(value, int | float) else f"--set {name}=..."


def epochs(stage: str, count: int) -> str:
    """Return the option that sets the epochs of a stage."""
    return f"--set {EPOCHS.get(stage, 'epochs')}={count}"
