"""The rule LossNotDecreasing. It judges each stage of training separately."""

import math
from collections.abc import Sequence

from reports.facts import Epoch, Run
from reports.rules import settings, thresholds
from reports.rules.stages import worst_stage
from reports.rules.thresholds import Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, stretches, triggered

LEARNT = 0.99  # training accuracy; from here on, a loss that no longer falls is not reported
SMOOTH = 20  # the smoothing window is the number of steps divided by this


def loss_not_decreasing(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the training loss falls."""
    return worst_stage(evidence, lambda run, stage, epochs: _loss(run, stage, epochs, limits.loss))


def _loss(run: Run, stage: str, epochs: Sequence[Epoch], limits: thresholds.Loss) -> Verdict:
    pairs, unit = losses_by_step(epochs), "steps"
    if not pairs:
        pairs, unit = list(enumerate(epoch.train_loss for epoch in epochs if epoch.train_loss is not None)), "epochs"
    losses = [loss for _, loss in pairs]
    if limits.whole_run:
        return _smoothed(run, stage, epochs, losses, limits)
    if not pairs or pairs[-1][0] - pairs[0][0] < limits.steps:
        return not_judged(
            f"{stage}: {len(losses)} {unit} are too few; more than {limits.steps} are needed.", len(losses)
        )
    fired = not_decreasing(pairs, limits)
    if not fired:
        return quiet(
            f"{stage}: over any {limits.steps} {unit} the loss fell by {limits.decrease_percent:g} % or more.",
            len(losses),
        )
    places = [step for step, _ in fired]
    rising = sum(grown > limits.increase_percent for _, grown in fired)
    return triggered(
        f"{stage}: at {len(fired)} of {len(losses)} {unit} the loss was not {limits.decrease_percent:g} % below that of "
        f"{limits.steps} {unit} before; at {rising} of them it had risen by more than {limits.increase_percent:g} %.",
        len(losses),
        advice=f"Try a lower learning rate: {settings.rate(run, stage, 0.1)}.",
        loss=len(fired) / len(losses),
        episodes=stretches(places),
    )


def losses_by_step(epochs: Sequence[Epoch]) -> list[tuple[int, float]]:
    """Return pairs of step and training loss. If the records do not number the steps, they are counted from 0."""
    numbered = [number for epoch in epochs for number in epoch.step_numbers]
    losses = [loss for epoch in epochs for loss in epoch.step_losses]
    steps = numbered if len(numbered) == len(losses) else range(len(losses))
    return [(step, loss) for step, loss in zip(steps, losses, strict=True) if loss is not None]


def not_decreasing(losses: Sequence[tuple[int, float]], limits: thresholds.Loss) -> list[tuple[int, float]]:
    """Return pairs: a step at which SageMaker's rule fires, and the growth of the loss in percent.

    `losses` are pairs of step and loss, ascending. The rule compares a loss with the last loss that is at least
    `limits.steps` steps older. The first losses have no such partner and are not judged.
    """
    fired = []
    partner = -1
    for step, loss in losses:
        while partner + 1 < len(losses) and losses[partner + 1][0] <= step - limits.steps:
            partner += 1
        if partner < 0:
            continue
        before = losses[partner][1]
        growth = 100 * (loss - before) / abs(before) if before else (math.inf if loss > 0 else 0.0)
        if growth > -limits.decrease_percent:
            fired.append((step, growth))
    return fired


def smoothed(losses: Sequence[float], window: int) -> list[float]:
    """Return the moving mean over `window` losses."""
    sums = [0.0]
    for loss in losses:
        sums.append(sums[-1] + loss)
    return [(sums[end] - sums[end - window]) / window for end in range(window, len(sums))]


def _smoothed(
    run: Run, stage: str, epochs: Sequence[Epoch], losses: Sequence[float], limits: thresholds.Loss
) -> Verdict:
    if len(losses) < limits.steps:
        return not_judged(f"{stage}: {len(losses)} losses are too few; {limits.steps} are needed.", len(losses))
    course = smoothed(losses, max(5, len(losses) // SMOOTH))
    first, best, last = course[0], min(course), course[-1]
    accuracy = epochs[-1].train_accuracy
    said = (
        f"{stage}: the smoothed training loss began at {first:.4g}, was {best:.4g} at its best and ended at {last:.4g}"
    )
    if last > best + limits.increase_percent / 100 * max(best, 0.01) and last - best > 0.05 * first:
        return triggered(
            f"{said}: it rose by {100 * (last - best) / max(best, 1e-12):.0f} % from its best.",
            len(losses),
            advice=f"The learning rate is likely too high. Try {settings.rate(run, stage, 0.1)}.",
            loss=1 - course.index(best) / len(course),
        )
    guess = math.log(len(run.job.classes)) if run.job and len(run.job.classes) > 1 else math.inf
    if max(course) > limits.times_guess * max(guess, losses[0]):
        return triggered(
            f"{said}. In between it was {max(course):.4g}; the first loss was {losses[0]:.3g}, the loss of guessing is {guess:.3g}.",
            len(losses),
            advice=f"The learning rate is far too high. Try {settings.rate(run, stage, 0.1)}.",
            loss=sum(loss > guess for loss in course) / len(course),
        )
    if first - best < limits.decrease_percent / 100 * abs(first) and not (accuracy or 0) >= LEARNT:
        return triggered(
            f"{said}: it fell by less than {limits.decrease_percent:g} % in {len(losses)} steps.",
            len(losses),
            advice=(
                f"Nothing was learnt. Try a higher learning rate, {settings.rate(run, stage, 10)}; if the loss jumps up and "
                f"down, a lower one, {settings.rate(run, stage, 0.1)}."
            ),
            loss=1.0,
        )
    return quiet(f"{said}.", len(losses))
