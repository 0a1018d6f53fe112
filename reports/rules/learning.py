"""Rules on the course of losses: LossNotDecreasing, Overfit, Overtraining. Each stage of training is judged by itself."""

import math
from collections.abc import Sequence
from itertools import pairwise

from reports.facts import Epoch, Run
from reports.rules import settings, thresholds
from reports.rules.thresholds import Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, stretches, triggered, worst

NO_RUN = "There are no records of a training run."
NO_EPOCHS = "No epoch was recorded."
LEARNT = 0.99  # training accuracy at which a loss that falls no more is no news
SMOOTH = 20  # the smoothing window is one part in so many of the steps


def stages(run: Run) -> dict[str, list[Epoch]]:
    """Return the epochs of each stage, in their order."""
    found: dict[str, list[Epoch]] = {}
    for epoch in sorted(run.epochs, key=lambda epoch: epoch.number):
        found.setdefault(epoch.stage, []).append(epoch)
    return found


def loss_not_decreasing(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the training loss falls."""
    if evidence.run is None:
        return not_judged(NO_RUN)
    held = stages(evidence.run)
    if not held:
        return not_judged(NO_EPOCHS)
    return worst(_loss(evidence.run, stage, epochs, limits.loss) for stage, epochs in held.items())


def _loss(run: Run, stage: str, epochs: Sequence[Epoch], limits: thresholds.Loss) -> Verdict:
    by_step = [loss for epoch in epochs for loss in epoch.step_losses if loss is not None]
    losses, unit = by_step, "steps"
    if not losses:
        losses, unit = [epoch.train_loss for epoch in epochs if epoch.train_loss is not None], "epochs"
    if limits.whole_run:
        return _smoothed(run, stage, epochs, losses, limits)
    if len(losses) <= limits.steps:
        return not_judged(
            f"{stage}: {len(losses)} {unit} are too few; more than {limits.steps} are needed.", len(losses)
        )
    fired = not_decreasing(list(enumerate(losses)), limits)
    if not fired:
        return quiet(
            f"{stage}: over any {limits.steps} {unit} the loss fell by {limits.decrease_percent:g} %.", len(losses)
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


def not_decreasing(losses: Sequence[tuple[int, float]], limits: thresholds.Loss) -> list[tuple[int, float]]:
    """Return the steps at which SageMaker's rule fires, each with the loss's growth in percent.

    `losses` are pairs of step and loss, ascending. A loss is compared with the last one that is at least `limits.steps`
    steps older; the first losses, which have no such partner, are not judged.
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


def overfit(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the model learns the training photos by heart, while it gets worse on those of validation."""
    if evidence.run is None:
        return not_judged(NO_RUN)
    held = stages(evidence.run)
    if not held:
        return not_judged(NO_EPOCHS)
    return worst(_overfit(stage, epochs, limits.overfit) for stage, epochs in held.items())


def _overfit(stage: str, epochs: Sequence[Epoch], limits: thresholds.Overfit) -> Verdict:
    pairs = [
        (epoch.train_loss, epoch.validation_loss)
        for epoch in epochs
        if epoch.train_loss is not None and epoch.validation_loss is not None
    ]
    patience = max(limits.patience, math.ceil(limits.patience_share * len(pairs)))
    if len(pairs) <= (patience if limits.validation_rises else 0):
        return not_judged(f"{stage}: {len(pairs)} epochs are too few; {patience + 1} are needed.", len(pairs))
    if limits.validation_rises:
        return _rising(stage, pairs, patience, limits)
    places = [place for place, (train, held) in enumerate(pairs) if train > 0 and (held - train) / train > limits.ratio]
    last = (
        f"{stage}: in the last epoch the training loss was {pairs[-1][0]:.4g} and that of validation {pairs[-1][1]:.4g}"
    )
    if len(places) < patience:
        return quiet(f"{last}.", len(pairs))
    return triggered(
        f"{last}; in {len(places)} of {len(pairs)} epochs validation was more than {100 * limits.ratio:g} % worse.",
        len(pairs),
        advice="A gap alone is no harm while the validation loss still falls; see the verdict of our own thresholds.",
        loss=len(places) / len(pairs),
        episodes=stretches(places),
    )


def _rising(stage: str, pairs: Sequence[tuple[float, float]], patience: int, limits: thresholds.Overfit) -> Verdict:
    held = [validation for _, validation in pairs]
    place = held.index(min(held))
    best, limit = held[place], held[place] * (1 + limits.ratio)
    after = held[place + 1 :]
    falls = pairs[-1][0] < pairs[place][0]
    said = f"{stage}: the validation loss was {best:.4g} at its best, in epoch {place + 1} of {len(pairs)}, and ended at {held[-1]:.4g}"
    if len(after) < patience or not falls or any(loss <= limit for loss in held[-patience:]):
        return quiet(f"{said}.", len(pairs))
    return triggered(
        f"{said}, {100 * (held[-1] / best - 1):.0f} % higher, while the training loss went on falling, from "
        f"{pairs[place][0]:.4g} to {pairs[-1][0]:.4g}: what it learnt since holds for the training photos only.",
        len(pairs),
        advice=f"Stop earlier ({settings.epochs(stage, place + 1)} or --set early-stopping={patience}), or learn less by heart: "
        + (
            "--set augment=trivialaugment --set weight-decay=0.01."
            if stage == "finetune"
            else "--set dropout=0.3 --set views=2."
        ),
        loss=len(after) / len(pairs),
    )


def overtraining(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether training went on after it had stopped to be of use."""
    if evidence.run is None:
        return not_judged(NO_RUN)
    held = stages(evidence.run)
    if not held:
        return not_judged(NO_EPOCHS)
    return worst(_overtraining(evidence.run, stage, epochs, limits.overtraining) for stage, epochs in held.items())


def _overtraining(run: Run, stage: str, epochs: Sequence[Epoch], limits: thresholds.Overtraining) -> Verdict:
    train = [epoch.train_loss for epoch in epochs if epoch.train_loss is not None]
    held = [epoch.validation_loss for epoch in epochs if epoch.validation_loss is not None]
    patience = max(limits.validation_patience, math.ceil(limits.patience_share * len(held)))
    if len(held) <= patience:
        return not_judged(f"{stage}: {len(held)} epochs are too few; more than {patience} are needed.", len(held))
    useful = last_improvement(held, limits)
    if limits.relative:  # a better accuracy is of use too, since the epoch of the best one is kept
        accuracies = [-(epoch.validation_accuracy or 0) for epoch in epochs]
        useful = max(
            useful, max((place for place, (a, b) in enumerate(pairwise(_best(accuracies)), 1) if b < a), default=0)
        )
    idle = len(held) - 1 - useful
    stale = len(train) - 1 - last_improvement(train, limits) if train else 0
    stopping = settings.hyperparameters(run).get("early-stopping")
    stopped = isinstance(stopping, int | float) and stopping > 0 and idle <= stopping and limits.relative
    said = f"{stage}: the last epoch that brought something was {useful + 1} of {len(held)}"
    if idle < patience or stopped or (limits.train_patience and stale < limits.train_patience):
        return quiet(f"{said}.", len(held))
    seconds = sum(epoch.seconds or 0 for epoch in epochs[useful + 1 :])
    return triggered(
        f"{said}; the {idle} after it took {seconds:.1f} s and made nothing better.",
        len(held),
        advice=f"Save that time: {settings.epochs(stage, useful + 1)}, or --set early-stopping={max(2, patience)}.",
        loss=idle / len(held) / 2,  # time is lost, the model is not worse
    )


def last_improvement(losses: Sequence[float], limits: thresholds.Overtraining) -> int:
    """Return the place of the last loss that was better than the best before it by more than `delta`."""
    useful, best = 0, math.inf
    for place, loss in enumerate(losses):
        step = limits.delta * abs(best) if limits.relative and math.isfinite(best) else limits.delta
        if loss < best - step or not math.isfinite(best):
            useful, best = place, loss
    return useful


def _best(values: Sequence[float]) -> list[float]:
    """Return the lowest value so far at each place."""
    found: list[float] = []
    for value in values:
        found.append(min(value, found[-1]) if found else value)
    return found
