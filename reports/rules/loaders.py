"""The rule Dataloader: fewer processes or threads load photos than the cores allow, and training waits for photos."""

from reports.facts import Run
from reports.rules.starving import gpu_rows
from reports.rules.thresholds import Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered
from reports.system import Loaders, Profile

NO_LOADERS = "The records do not hold the number of processes or threads that load photos."


def dataloader(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge by our own records if they hold the number of loaders, else by SageMaker's report."""
    job = evidence.run.job if evidence.run else None
    if evidence.run and job and job.loaders is not None and job.cores:
        return _ours(evidence.run, Loaders(workers=job.loaders, cores=job.cores, seconds_p50=None), evidence, limits)
    held = evidence.profile.details.loaders if evidence.profile and evidence.profile.details else None
    return _sagemakers(held, evidence.profile, limits) if held and evidence.profile else not_judged(NO_LOADERS)


def _ours(run: Run, held: Loaders, evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge a job of our program. Its number of loaders does not change during the job."""
    percent, system = 100 * held.workers / held.cores, limits.system
    said = f"{held.workers} processes or threads load photos, on a host with {held.cores} cores"
    advice = f"Load photos on all cores: leave OMP_NUM_THREADS out, or set it to {held.cores}."
    few = percent < system.loaders_percent
    if not system.loaders_idle:
        many = system.loaders_most_percent is not None and percent > system.loaders_most_percent
        said += f", {percent:.0f} %."
        return triggered(said, 1, advice=advice, loss=0.1) if few or many else quiet(said, 1)
    if not few:
        return quiet(f"{said}.", 1)
    waited, total = _waited(run)
    if total >= limits.steps.wait_seconds and waited > (limits.steps.wait_share or 0) * total:
        said += f", while {100 * waited / total:.0f} % of fine-tuning's time was spent waiting for photos."
        return triggered(said, 1, advice=advice, loss=waited / total, seconds=waited)
    idle = _idle_gpu(evidence.profile, limits)
    if idle is not None:
        said += f", while the median use of a GPU was {idle:.0f} %."
        return triggered(said, 1, advice=advice, loss=1 - idle / 100)
    if not total and not (evidence.profile and gpu_rows(evidence.profile)):
        return not_judged(
            f"{said}; without fine-tuning and without a GPU, the records cannot show whether anything waited.", 1
        )
    return quiet(f"{said}; nothing waits for photos.", 1)


def _waited(run: Run) -> tuple[float, float]:
    """Return the seconds that fine-tuning waited for photos, and the seconds that it took. The head's training loads no photos."""
    epochs = [one for one in run.epochs if one.stage == "finetune" and one.seconds and one.data_wait_share is not None]
    total = sum(one.seconds or 0 for one in epochs)
    return sum((one.seconds or 0) * (one.data_wait_share or 0) for one in epochs), total


def _idle_gpu(profile: Profile | None, limits: Thresholds) -> float | None:
    """Return the median use of a GPU below the limit gpu_low, in percent; None if there is no such GPU, or if it has too few points."""
    rows = [
        row
        for row in (gpu_rows(profile) if profile else [])
        if row.p50 < limits.system.gpu_low and row.points >= limits.system.waiting.points
    ]
    return max(0.0, rows[0].p50) if rows else None


def _sagemakers(held: Loaders, profile: Profile, limits: Thresholds) -> Verdict:
    if not limits.system.loaders_idle:
        return not_judged("SageMaker's report does not hold the number of loaders in each second.")
    low = [row for row in gpu_rows(profile) if row.p50 < limits.system.gpu_low]
    said = (
        f"{held.workers} processes load photos beside the training process, on a host with {held.cores} cores"
        if held.workers
        else f"Photos are loaded in the training process itself, on a host with {held.cores} cores"
    )
    if held.seconds_p50 is not None:
        said += f"; getting a batch took {held.seconds_p50:.2f} s (median)"
    if not low or held.workers >= limits.system.loaders_percent / 100 * held.cores:
        return quiet(f"{said}; no GPU waits for photos." if not low else f"{said}.", 1)
    return triggered(
        f"{said}, while the median use of a GPU was {low[0].p50:.0f} %.",
        1,
        advice=f"Load photos in more processes: num_workers={held.cores} of the data loader.",
        loss=1 - low[0].p50 / 100,
    )
