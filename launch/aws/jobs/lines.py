"""Lines for the plans of training jobs and tuning jobs."""

from collections.abc import Mapping

from launch.aws import quotas
from launch.aws.session import Session
from launch.aws.specification import Training


def instances(training: Training) -> str:
    """Return the instances of a job as one line."""
    machines = training.machines
    kind = " or else ".join(machines.types)
    more = [f"{machines.volume_gb} GB each"]
    if machines.spot:
        more.append("spot")
    if machines.keep_alive:
        more.append(f"kept {machines.keep_alive} s for the next job")
    if training.identity.security.isolation:
        more.append("no network")
    return f"{machines.count} x {kind}, {', '.join(more)}"


def limit(training: Training) -> str:
    """Return the time limits of a job as one line."""
    machines = training.machines
    text = f"at most {machines.max_run} s"
    if machines.spot:
        text += f", and {machines.max_wait or 2 * machines.max_run} s with waiting for spot instances"
    return text


def settings(hyperparameters: Mapping[str, str]) -> str:
    """Return hyperparameters as one line."""
    return ", ".join(f"{name} {value}" for name, value in hyperparameters.items()) or "the defaults"


def quota(session: Session, training: Training, jobs: int) -> list[quotas.Quota]:
    """Return the quotas that these jobs need when they all run at one time."""
    machines = training.machines
    needed = machines.count * jobs
    found = quotas.read(session, "spot training" if machines.spot else "training", machines.types, needed)
    if machines.keep_alive:
        found += quotas.read(session, "warm pool", machines.types, needed)
    return found
