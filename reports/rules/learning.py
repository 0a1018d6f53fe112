"""The rules Overfit and Overtraining. They judge each stage of training separately."""

import math
from collections.abc import Sequence
from itertools import pairwise

from reports.facts import Epoch, Run
from reports.rules import settings, thresholds
from reports.rules.loss import LEARNT
from reports.rules.stages import worst_stage
from reports.rules.thresholds import OURS, Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, stretches, triggered


def overfit(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the model memorises the training photos while it gets worse on the validation photos."""
    return worst_stage(evidence, lambda _, stage, epochs: _overfit(stage, epochs, limits.overfit))


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
    last = f"{stage}: in the last epoch the training loss was {pairs[-1][0]:.4g} and the validation loss {pairs[-1][1]:.4g}"
    if len(places) < patience:
        return quiet(f"{last}.", len(pairs))
    return triggered(
        f"{last}; in {len(places)} of {len(pairs)} epochs validation was more than {100 * limits.ratio:g} % worse.",
        len(pairs),
        advice="A gap alone does no harm while the validation loss still falls; see the verdict of our own thresholds.",
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
    higher = f"{100 * (held[-1] / best - 1):.0f} % higher" if best > 0 else "higher"
    return triggered(
        f"{said}, {higher}, while the training loss went on falling, from "
        f"{pairs[place][0]:.4g} to {pairs[-1][0]:.4g}: what it has learnt since then helps on the training photos only.",
        len(pairs),
        advice=f"Stop earlier ({settings.epochs(stage, place + 1)} or --set early-stopping={patience}), or reduce memorising: "
        + (
            "--set augment=trivialaugment --set weight-decay=0.01."
            if stage == "finetune"
            else "--set dropout=0.3 --set views=2."
        ),
        loss=len(after) / len(pairs),
    )


def overtraining(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether training went on although nothing improved any more."""
    return worst_stage(evidence, lambda run, stage, epochs: _overtraining(run, stage, epochs, limits.overtraining))


def _overtraining(run: Run, stage: str, epochs: Sequence[Epoch], limits: thresholds.Overtraining) -> Verdict:
    train = [epoch.train_loss for epoch in epochs if epoch.train_loss is not None]
    held = [epoch.validation_loss for epoch in epochs if epoch.validation_loss is not None]
    patience = max(limits.validation_patience, math.ceil(limits.patience_share * len(held)))
    if len(held) <= patience:
        return not_judged(f"{stage}: {len(held)} epochs are too few; more than {patience} are needed.", len(held))
    useful = last_improvement(held, limits)
    # A higher accuracy counts as an improvement too, because training keeps the epoch with the highest.
    if limits.relative:
        accuracies = [-(epoch.validation_accuracy or 0) for epoch in epochs]
        useful = max(
            useful, max((place for place, (a, b) in enumerate(pairwise(_best(accuracies)), 1) if b < a), default=0)
        )
    idle = len(held) - 1 - useful
    stale = len(train) - 1 - last_improvement(train, limits) if train else 0
    stopping = settings.hyperparameters(run).get("early-stopping")
    stopped = isinstance(stopping, int | float) and stopping > 0 and idle <= stopping and limits.relative
    said = f"{stage}: the last epoch with an improvement was {useful + 1} of {len(held)}"
    if idle < patience or stopped or (limits.train_patience and stale < limits.train_patience):
        return quiet(f"{said}.", len(held))
    if limits.relative and not _learns(epochs):
        return quiet(f"{said}, but the training loss itself does not fall; see the rule LossNotDecreasing.", len(held))
    seconds = sum(epoch.seconds or 0 for epoch in epochs[useful + 1 :])
    if 0 < seconds < limits.seconds:
        return quiet(f"{said}; the {idle} after it took only {seconds:.1f} s.", len(held))
    return triggered(
        f"{said}; the {idle} after it took {seconds:.1f} s and improved nothing.",
        len(held),
        advice=f"Save that time: {settings.epochs(stage, useful + 1)}, or --set early-stopping={max(2, patience)}.",
        loss=idle / len(held) / 2,  # half, because only time is lost and the model is no worse
        seconds=seconds,
    )


def _learns(epochs: Sequence[Epoch]) -> bool:
    """Return True if the training loss fell and stayed low, or if the training accuracy of the last epoch is at least LEARNT."""
    train = [epoch.train_loss for epoch in epochs if epoch.train_loss is not None]
    if not train or (epochs[-1].train_accuracy or 0) >= LEARNT:
        return True
    fell = min(train) <= (1 - OURS.loss.decrease_percent / 100) * train[0]
    return fell and train[-1] <= (1 + OURS.loss.increase_percent / 100) * max(min(train), 0.01)


def last_improvement(losses: Sequence[float], limits: thresholds.Overtraining) -> int:
    """Return the index of the last loss that was lower than the lowest counted loss before it by more than `delta`."""
    useful, best = 0, math.inf
    for place, loss in enumerate(losses):
        step = limits.delta * abs(best) if limits.relative and math.isfinite(best) else limits.delta
        if loss < best - step or not math.isfinite(best):
            useful, best = place, loss
    return useful


def _best(values: Sequence[float]) -> list[float]:
    """Return, for each index, the lowest value up to it."""
    found: list[float] = []
    for value in values:
        found.append(min(value, found[-1]) if found else value)
    return found
