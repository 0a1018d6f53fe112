"""Rules on gradients and activations: ExplodingTensor, VanishingGradient, AllZero."""

import math
from collections.abc import Iterable

from reports.facts import LayerStatistics
from reports.rules import settings
from reports.rules.stages import NO_RUN, stages
from reports.rules.thresholds import Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, stretches, triggered

NO_LAYERS = "The records hold no statistics of {kind}; --set tensor-stats-steps=50 records them in every 50th step."


def exploding(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether a loss or a gradient was infinite or not a number."""
    run = evidence.run
    if run is None:
        return not_judged(NO_RUN)
    losses = {stage: [loss for epoch in held for loss in epoch.step_losses] for stage, held in stages(run).items()}
    count = sum(map(len, losses.values())) + len(run.layers)
    if not count:
        return not_judged("The records hold no loss of a step and no statistics of gradients.")
    places = {stage: [step for step, loss in enumerate(held) if loss is None] for stage, held in losses.items()}
    layers = sorted({one.layer for one in run.layers if one.kind == "gradients" and None in (one.mean, one.std)})
    lost = sum(map(len, places.values()))
    if not lost and not layers:
        return quiet(f"All {count:,} recorded values are finite numbers.", count)
    stage = next((stage for stage, found in places.items() if found), next(iter(losses), "head"))
    said = [f"the loss of {lost} of {sum(map(len, losses.values()))} steps is infinite or not a number"] if lost else []
    said += (
        [f"gradients of {len(layers)} layers are infinite or not a number, the first is {layers[0]}"] if layers else []
    )
    first = f" (first in step {places[stage][0] + 1} of {stage})" if places.get(stage) else ""
    return triggered(
        f"{'; '.join(said)}{first}.",
        count,
        advice=f"Lower the learning rate ({settings.rate(run, stage, 0.1)}), or train with --set precision=fp32.",
        loss=1.0,
        episodes=sum(map(stretches, places.values())),
    )


def vanishing(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the gradients of a layer are so small that it does not learn."""
    held = _of_kind(evidence, "gradients")
    if not held:
        return not_judged(NO_RUN if evidence.run is None else NO_LAYERS.format(kind="gradients"))
    gone = [one for one in held if 0 <= _size(one) < limits.tensors.vanishing]
    layers = _often(gone, held, limits.tensors.share_of_records)
    if not layers:
        return quiet(f"No layer's gradient stayed below {limits.tensors.vanishing:g}.", len(held))
    return triggered(
        f"The gradient of {len(layers)} layers was below {limits.tensors.vanishing:g}; the first of these layers is {layers[0]}.",
        len(held),
        advice="These layers do not learn. Try --set layer-decay=1, or a higher --set finetune-lr.",
        loss=len(layers) / len({one.layer for one in held}),
        episodes=len(layers),
    )


def all_zero(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether all of a layer's values are zero."""
    held = [one for kind in ("gradients", "activations") for one in _of_kind(evidence, kind)]
    held = [one for one in held if one.share_zero is not None]
    if not held:
        return not_judged(NO_RUN if evidence.run is None else NO_LAYERS.format(kind="gradients or activations"))
    zero = [one for one in held if 100 * (one.share_zero or 0) >= limits.tensors.zero_percent]
    layers = _often(zero, held, limits.tensors.share_of_records)
    if not layers:
        return quiet("No layer's values were all zero.", len(held))
    return triggered(
        f"All values of {len(layers)} layers were zero; the first of these layers is {layers[0]}.",
        len(held),
        advice="These layers do nothing. Lower the learning rate, and start from pretrained weights.",
        loss=len(layers) / len({one.layer for one in held}),
        episodes=len(layers),
    )


def in_order(evidence: Evidence, kind: str) -> list[LayerStatistics]:
    """Return the statistics of one kind in the order of training: first the head, then fine-tuning."""
    return sorted(_of_kind(evidence, kind), key=lambda one: (one.stage == "finetune", one.epoch, one.step))


def by_layer(held: Iterable[LayerStatistics]) -> dict[str, list[LayerStatistics]]:
    """Group the statistics by the name of the layer. The head's layers have different names in the two stages."""
    found: dict[str, list[LayerStatistics]] = {}
    for one in held:
        found.setdefault(one.layer, []).append(one)
    return found


def _of_kind(evidence: Evidence, kind: str) -> list[LayerStatistics]:
    return [one for one in (evidence.run.layers if evidence.run else ()) if one.kind == kind]


def _size(one: LayerStatistics) -> float:
    """Return the root mean square; -1 if it is not known. Records of older programs do not hold it: it follows from mean and std."""
    if one.rms is not None:
        return one.rms
    return math.hypot(one.mean, one.std) if one.mean is not None and one.std is not None else -1.0


def _often(found: Iterable[LayerStatistics], held: Iterable[LayerStatistics], share: float) -> list[str]:
    """Return the layers with more than this share of their records in `found`."""
    counts: dict[str, int] = {}
    for one in held:
        counts[one.layer] = counts.get(one.layer, 0) + 1
    hits: dict[str, int] = {}
    for one in found:
        hits[one.layer] = hits.get(one.layer, 0) + 1
    return sorted(layer for layer, count in hits.items() if count > share * counts[layer])
