"""Rules on how the weights change: WeightUpdateRatio, UnchangedTensor."""

from collections.abc import Sequence

from reports.facts import LayerStatistics
from reports.rules import settings
from reports.rules.stages import NO_RUN
from reports.rules.tensors import NO_LAYERS, by_layer, in_order
from reports.rules.thresholds import Thresholds, Updates
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered

EPSILON = 1e-9  # added to the weights' size, as SageMaker's guide does for WeightUpdateRatio, so that weights of 0 have a ratio


def update_ratio(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the updates of weights are far too large or far too small compared with the weights."""
    held = [one for one in in_order(evidence, "updates") if one.rms is not None and one.weight_rms is not None]
    held = [one for one in held if (one.weight_rms or 0) >= limits.updates.smallest_weight]
    if evidence.run is None or not held:
        return not_judged(NO_RUN if evidence.run is None else NO_LAYERS.format(kind="updates"))
    found = []
    for layer, records in by_layer(held).items():
        ratios = [_ratio(one) for one in records]
        large = sum(ratio > limits.updates.ratio_high for ratio in ratios)
        small = sum(ratio < limits.updates.ratio_low for ratio in ratios)
        if max(large, small) > limits.updates.share_of_records * len(ratios):
            found.append((layer, records[0].stage, large >= small, max(ratios) if large >= small else min(ratios)))
    layers = len(by_layer(held))
    if not found:
        return quiet(
            f"In all {layers} layers an update is {limits.updates.ratio_low:g} to {limits.updates.ratio_high:g} times the weights.",
            len(held),
        )
    layer, stage, large, ratio = found[0]
    return triggered(
        f"The weights of {len(found)} of {layers} layers change too {'much' if large else 'little'}: those of {layer} by "
        f"{ratio:.2g} times their size in one step.",
        len(held),
        advice=f"{'Lower' if large else 'Raise'} the learning rate ({settings.rate(evidence.run, stage, 0.1 if large else 10)}).",
        loss=len(found) / layers,
        episodes=len(found),
    )


def _ratio(one: LayerStatistics) -> float:
    return (one.rms or 0.0) / ((one.weight_rms or 0.0) + EPSILON)


def unchanged(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether weights have stopped changing."""
    held = [one for one in in_order(evidence, "updates") if None not in (one.minimum, one.maximum, one.weight_rms)]
    if evidence.run is None or not held:
        return not_judged(NO_RUN if evidence.run is None else NO_LAYERS.format(kind="updates"))
    layers = by_layer(held)
    most = max(map(len, layers.values()))
    if most < limits.updates.unchanged_steps:
        return not_judged(
            f"{most} recorded steps are too few; {limits.updates.unchanged_steps} are needed.",
            len(held),
        )
    found = [layer for layer, records in layers.items() if _stopped(records, limits.updates)]
    if not found:
        return quiet(f"The weights of all {len(layers)} layers went on changing.", len(held))
    stage = layers[found[0]][0].stage
    return triggered(
        f"The weights of {len(found)} of {len(layers)} layers did not change in {limits.updates.unchanged_steps} recorded steps in "
        f"a row; the first of these layers is {found[0]}.",
        len(held),
        advice=f"Raise the learning rate ({settings.rate(evidence.run, stage, 10)}), or --set layer-decay=1.",
        loss=len(found) / len(layers),
        episodes=len(found),
    )


def _stopped(records: Sequence[LayerStatistics], limits: Updates) -> bool:
    """Return True if a layer has `unchanged_steps` successive recorded steps without a change, and a share above `unchanged_share`."""
    still = [
        max(abs(one.minimum or 0.0), abs(one.maximum or 0.0)) <= limits.atol + limits.rtol * (one.weight_rms or 0.0)
        for one in records
    ]
    # The last steps of a healthy run change nothing if its learning rate ends at 0; so the share of all steps counts too.
    share = sum(still) / len(still)
    runs = "".join("x" if one else "." for one in still).split(".")
    return max(map(len, runs)) >= limits.unchanged_steps and share > limits.unchanged_share
