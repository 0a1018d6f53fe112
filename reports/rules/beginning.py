"""Rules on the state at the beginning of training: PoorWeightInitialization, DeadRelu, CheckInputImages."""

from reports.facts import LayerStatistics, Run
from reports.rules import settings
from reports.rules.stages import NO_RUN, stages
from reports.rules.tensors import NO_LAYERS, by_layer, in_order
from reports.rules.thresholds import Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered

NARROW = (
    0.01  # share of the root mean square; weights with a smaller standard deviation than this were not drawn at random
)


def poor_weights(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether randomly initialised weights prevent the network from learning."""
    run, start = evidence.run, limits.start
    if run is None:
        return not_judged(NO_RUN)
    if settings.hyperparameters(run).get("weights") != "random":
        return not_judged("Training began with pretrained weights, or the records do not hold the setting 'weights'.")
    updates, gradients = (_first(in_order(evidence, kind), start.steps) for kind in ("updates", "gradients"))
    # Leave out the scales of normalisation layers, which all begin at 1.
    drawn = [one for one in updates if (one.weight_std or 0.0) > NARROW * (one.weight_rms or 0.0)]
    variances = [one.weight_std**2 for one in drawn if one.weight_std and one.layer.endswith("weight")]
    ranges = [one.p95 - one.p5 for one in gradients if one.p95 is not None and one.p5 is not None]
    points = len(variances) + len(ranges)
    if not variances or not ranges:
        return not_judged(NO_LAYERS.format(kind="updates and gradients"))
    pause = _without_decrease(run)
    ratio, narrow = max(variances) / min(variances), min(ranges)
    said = (
        f"In the first {start.steps} recorded steps the variances of the layers' weights differ by a factor of {ratio:.3g}, the "
        f"narrowest gradients span {narrow:.2g}, and the loss has no new minimum for {pause} steps"
    )
    uneven = ratio > start.variance_ratio, narrow < start.gradient_range
    # In every network, layers of different width have different variances. So our set requires uneven variances and narrow gradients.
    poor = (all(uneven) if start.all_signs else any(uneven)) and pause >= start.patience
    if not poor:
        return quiet(f"{said}.", points)
    return triggered(
        f"{said}.", points, advice="Begin with pretrained weights: --set weights=pretrained.", loss=0.5, episodes=1
    )


def _first(held: list[LayerStatistics], count: int) -> list[LayerStatistics]:
    """Return the statistics of the first `count` recorded steps."""
    moments = list(dict.fromkeys((one.stage, one.epoch, one.step) for one in held))[:count]
    return [one for one in held if (one.stage, one.epoch, one.step) in moments]


def _without_decrease(run: Run) -> int:
    """Return the largest number of successive steps without a new lowest loss, in the first epoch."""
    first = next(iter(stages(run).values()), [])
    losses = [loss for epoch in first[:1] for loss in epoch.step_losses if loss is not None]
    best, since, most = float("inf"), 0, 0
    for loss in losses:
        since = 0 if loss < best else since + 1
        best, most = min(best, loss), max(most, since)
    return most


def dead_relu(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether most channels of a layer are almost never above 0."""
    held = [one for one in in_order(evidence, "activations") if one.share_dead is not None]
    if not held:
        return not_judged(NO_RUN if evidence.run is None else NO_LAYERS.format(kind="activations of ReLU layers"))
    layers, found = by_layer(held), []
    for layer, records in layers.items():
        dead = sum(100 * (one.share_dead or 0.0) > limits.start.dead_percent for one in records)
        if dead > limits.start.dead_records * len(records):
            found.append((max(one.share_dead or 0.0 for one in records), layer))
    if not found:
        return quiet(
            f"None of {len(layers)} layers has more than {limits.start.dead_percent:g} % dead channels.",
            len(held),
        )
    share, layer = max(found)
    return triggered(
        f"{len(found)} of {len(layers)} layers have more than {limits.start.dead_percent:g} % dead channels (at most 1 % of a dead "
        f"channel's values are above 0). In {layer}, {100 * share:.0f} % of the channels are dead.",
        len(held),
        advice="Lower the learning rate, and begin with pretrained weights.",
        loss=len(found) / len(layers),
        episodes=len(found),
    )


def input_images(evidence: Evidence, limits: Thresholds) -> Verdict:
    """Judge whether the preprocessed photos differ strongly from those of the pretraining, by mean and standard deviation."""
    run = evidence.run
    held = [one for one in run.measured.inputs if one.split == "train"] if run else []
    if not held:
        return not_judged(NO_RUN if run is None else "The records do not hold the mean of the photos.")
    one = held[-1]
    if one.photos < limits.start.photos:
        return not_judged(f"{one.photos} photos are too few; {limits.start.photos} are needed.", one.photos)
    far = max(abs(mean) for mean in one.mean)
    said = (
        f"{one.photos} photos of train have means of {', '.join(f'{mean:.2f}' for mean in one.mean)} and standard deviations of "
        f"{', '.join(f'{std:.2f}' for std in one.std)} in their channels after normalisation (the pretraining's photos: 0 and 1)"
    )
    narrow = min(one.std) < limits.start.input_std
    if far <= limits.start.input_mean and not narrow:
        return quiet(f"{said}.", one.photos)
    return triggered(
        f"{said}.",
        one.photos,
        advice="Look at the photos: are they far too dark or too bright, or of another kind than the pretraining's? If so, train the "
        "backbone too: --set finetune-epochs=5.",
        loss=0.2,
    )
