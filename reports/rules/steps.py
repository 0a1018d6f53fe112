"""Rules on time: StepOutlier, MaxInitializationTime, StalledTraining and DataWait. DataWait is not one of SageMaker's."""

import statistics

from reports.facts import Run
from reports.rules import settings
from reports.rules.stages import NO_EPOCHS, NO_RUN, stages
from reports.rules.thresholds import Steps, Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered, worst
from reports.sources.traces import STEP
from reports.system import Profile, StepStatistics

CLOSE = (
    120  # largest time in seconds between the first step and the nearest metric; the profiler takes a point every 0.5 s
)


def step_statistics(evidence: Evidence, sigma: float) -> list[StepStatistics]:
    """Return statistics of the durations of steps, by node and phase. A stage's first step is left out: it includes the warm-up."""
    found = list(evidence.profile.steps) if evidence.profile else []
    for stage, epochs in (stages(evidence.run) if evidence.run else {}).items():
        seconds = [second for epoch in epochs for second in epoch.step_seconds][1:]
        if len(seconds) > 1:
            mean = statistics.fmean(seconds)
            limit = mean + sigma * statistics.pstdev(seconds)
            ordered, median = sorted(seconds), statistics.median(seconds)
            outliers = [second for second in seconds if second > limit]
            found.append(
                StepStatistics(
                    node="training",
                    phase=stage,
                    count=len(seconds),
                    mean=mean,
                    p50=median,
                    p95=ordered[int(0.95 * (len(ordered) - 1))],
                    maximum=ordered[-1],
                    outliers=len(outliers),
                    lost=sum(outliers) - len(outliers) * median,
                )
            )
    return found


def step_outlier(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether some steps take far longer than the others."""
    held = step_statistics(evidence, limits.steps.sigma)
    if not held:
        return not_judged("No duration of a step was recorded.")
    return worst(_outliers(one, limits.steps) for one in held)


def _outliers(one: StepStatistics, limits: Steps) -> Verdict:
    where = f"{one.node} {one.phase}"
    if one.count < limits.fewest:
        return not_judged(f"{where}: {one.count} steps are too few; {limits.fewest} are needed.", one.count)
    said = (
        f"{where}: {one.outliers} of {one.count:,} steps lie more than {limits.sigma:g} standard deviations above the mean; "
        f"median {one.p50:.4g} s, longest {one.maximum:.4g} s"
    )
    many = one.outliers > limits.count and one.outliers > limits.share * one.count
    total = one.count * one.mean
    share = one.lost / total if one.lost is not None and total else None
    if share is not None and one.outliers:
        said += f". Together, these steps took {one.lost:.3g} s longer than the median, {100 * share:.1f} % of the steps' time"
    lost = one.lost or 0.0
    little = share is not None and (share < limits.outlier_share or lost < limits.outlier_seconds)
    if not many or little or one.maximum < limits.times_median * one.p50:
        return quiet(f"{said}.", one.count)
    return triggered(
        f"{said}.",
        one.count,
        advice="Look at what happens beside the steps: checkpoints, photos that are much larger than others, other programs.",
        loss=share if share is not None else max(0.0, 1 - one.p50 / one.mean) if one.mean else 0.0,
        episodes=one.outliers,
    )


def initialization(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the time from the job's start to the first step is too long."""
    profile = evidence.profile
    seconds = profile.details.first_step_seconds if profile and profile.details else None
    if profile and seconds is None and profile.series and profile.spans:
        seconds = _measured_start(profile)
    said, downloaded = "The first step began {:.1f} minutes after the job", 0.0
    if seconds is None and evidence.run and (own := _recorded_start(evidence.run)) is not None:
        # Our program starts after SageMaker has downloaded everything, so the time of the download is added.
        downloaded = sum(
            took for phase, took in (evidence.job.phases if evidence.job else ()) if phase == "Downloading"
        )
        seconds, said = own + downloaded, "The first photos or step came {:.1f} minutes after the job began"
    if seconds is None:
        return not_judged("The time from the start of the job to its first step was not recorded.")
    said = said.format(seconds / 60) + (
        f", including {downloaded / 60:.1f} minutes of SageMaker's download" if downloaded else ""
    )
    if seconds <= 60 * limits.steps.start_minutes:
        return quiet(f"{said}.", 1)
    total = evidence.run.part_seconds.get("total") if evidence.run else None
    return triggered(
        f"{said}, later than {limits.steps.start_minutes:g} minutes.",
        1,
        advice="SageMaker downloads photos and image first. Use the input mode FastFile, which starts at once, and a smaller image.",
        loss=seconds / (total + downloaded) if total else 0.1,
        seconds=seconds,
    )


def _recorded_start(run: Run) -> float | None:
    """Return the seconds from the start of one of our own jobs until its first batch of photos or its first step.

    The start of a finished job is its last record minus its total duration. Otherwise the time of the first record is the start.
    """
    work, total = run.measured.first_work, run.part_seconds.get("total")
    began = run.last_time - total if run.finished and run.last_time and total else run.job.started if run.job else None
    return None if work is None or began is None else max(0.0, work - began)


def _measured_start(profile: Profile) -> float | None:
    """Return the seconds from the first system metric to the first step of the traces.

    Return None if no metric is within CLOSE seconds of the first step: then metrics and traces belong to different jobs.
    """
    steps = [span.start for span in profile.spans if span.name.startswith(STEP)]
    times = [float(time) for one in profile.series for time in one.times]
    if not steps or min(times) > min(steps) or min(abs(time - min(steps)) for time in times) > CLOSE:
        return None
    return min(steps) - min(times)


def stalled(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether training stopped making progress for a long time."""
    if evidence.run is None:
        return not_judged(NO_RUN)
    held = evidence.run.measured
    if not (held.steps or held.passes) or held.longest_pause is None:
        return not_judged("The records do not hold the times of the steps.")
    pause, where = held.longest_pause, "between two records"
    times = [float(one.times[-1]) for one in held.machines]
    if times and evidence.run.last_time and max(times) - evidence.run.last_time > pause:
        pause, where = max(times) - evidence.run.last_time, "at the end, while the machine was still measured"
    said = f"The longest time without a step or any other sign of the job is {pause:,.0f} s, {where}"
    if pause <= limits.steps.stalled_seconds:
        return quiet(f"{said}.", held.signs)
    return triggered(
        f"{said}.",
        held.signs,
        advice="Look into the job's log of that time: the most common reasons are a storage that does not answer and a lost host.",
        loss=0.5,
    )


def data_wait(evidence: Evidence, limits: Thresholds) -> Verdict | None:
    """Judge whether training waits for photos. Return None if the set does not have this rule."""
    if limits.steps.wait_share is None:
        return None
    if evidence.run is None:
        return not_judged(NO_RUN)
    epochs = [epoch for epoch in evidence.run.epochs if epoch.seconds and epoch.data_wait_share is not None]
    if not epochs:
        return not_judged(NO_EPOCHS if not evidence.run.epochs else "The records do not say how long training waited.")
    total = sum(epoch.seconds or 0 for epoch in epochs)
    waited = sum((epoch.seconds or 0) * (epoch.data_wait_share or 0) for epoch in epochs)
    said = f"Of {total:.1f} s of steps, {waited:.1f} s ({100 * waited / total:.0f} %) were spent waiting for photos"
    if total < limits.steps.wait_seconds:
        return not_judged(f"{said}; at least {limits.steps.wait_seconds:g} s are needed.", len(epochs))
    if waited <= limits.steps.wait_share * total:
        return quiet(f"{said}.", len(epochs))
    stage = max(epochs, key=lambda epoch: (epoch.seconds or 0) * (epoch.data_wait_share or 0)).stage
    advice = "More cores for each GPU, photos that are no larger than the network's input"
    if stage == "finetune" and settings.hyperparameters(evidence.run).get("augment") not in (None, "none"):
        advice += ", or a cheaper policy (--set augment=none)"
    return triggered(f"{said}, most of it in {stage}.", len(epochs), advice=f"{advice}.", loss=waited / total)
