"""Each function returns a rule's limits in words, for the table of docs/reports.md."""

from reports.rules.loss import SMOOTH
from reports.rules.thresholds import Thresholds


def overfit(t: Thresholds) -> str:
    """Return the limits at which Overfit triggers."""
    if t.overfit.validation_rises:
        return (
            f"validation loss {100 * t.overfit.ratio:g} % above its best in the last {t.overfit.patience} epochs "
            f"({100 * t.overfit.patience_share:g} % of the run if that is more), while the training loss falls"
        )
    return f"(validation loss - training loss) / training loss > {t.overfit.ratio:g} in {t.overfit.patience} epoch"


def loss(t: Thresholds) -> str:
    """Return the limits at which LossNotDecreasing triggers."""
    if t.loss.whole_run:
        return (
            f"smoothed over 1/{SMOOTH} of the steps: falls by less than {t.loss.decrease_percent:g} % in the whole run, "
            f"ends {t.loss.increase_percent:g} % above its best, or rises to {t.loss.times_guess:g} times the loss of the first step "
            f"and of guessing, ln(classes); {t.loss.steps} steps at least"
        )
    return f"not {t.loss.decrease_percent:g} % lower than {t.loss.steps} steps before; rises over {t.loss.increase_percent:g} % are counted"


def overtraining(t: Thresholds) -> str:
    """Return the limits at which Overtraining triggers."""
    unit = "of the best loss" if t.overtraining.relative else "of loss"
    share = f" and {100 * t.overtraining.patience_share:g} % of the run" if t.overtraining.patience_share else ""
    train = f"{t.overtraining.train_patience} epochs of training and " if t.overtraining.train_patience else ""
    accuracy = " and no better accuracy" if t.overtraining.relative else ""
    seconds = f", {t.overtraining.seconds:g} s in all at least" if t.overtraining.seconds else ""
    return (
        f"{train}{t.overtraining.validation_patience} epochs of validation{share} without an improvement of "
        f"{t.overtraining.delta:g} {unit}{accuracy}{seconds}"
    )


def confusion(t: Thresholds) -> str:
    """Return the limits at which Confusion triggers."""
    if t.classes.pair_share is not None:
        return (
            f"a pair whose share of confused photos (lower bound of the 95 % interval) is {100 * t.classes.pair_share:g} % above the "
            f"share of the other classes' photos with the same prediction; {t.classes.pair_photos} photos at least"
        )
    return f"less than {t.classes.diagonal:g} of a class's predictions right, or more than {t.classes.off_diagonal:g} of one other class"


def imbalance(t: Thresholds) -> str:
    """Return the limits at which ClassImbalance triggers."""
    how = "by its 95 % interval, " if t.classes.pair_share is not None else ""
    return (
        f"largest class {t.classes.imbalance:g} times the smallest, or {how}more than {t.classes.misprediction:g} of a class "
        f"predicted wrongly; {t.classes.photos} photos at least"
    )


def waiting(t: Thresholds) -> str:
    """Return, in words, how many points a rule needs and which of them it examines."""
    waiting = t.system.waiting
    start = f", without the first {100 * waiting.start_share:g} % of the run" if waiting.start_share else ""
    last = f"; only the last {waiting.last_points} are examined" if waiting.last_points else ""
    return f"{waiting.points} points at least{start}{last}"


def bottleneck(t: Thresholds, busy: float) -> str:
    """Return the limits at which CPUBottleneck and IOBottleneck trigger. `busy` is the limit of a core in percent."""
    return (
        f"in more than {t.system.bottleneck_percent:g} % of the snapshots a core above {busy:g} % and a GPU below "
        f"{t.system.idle_gpu:g} %; {t.system.waiting.points} snapshots at least"
    )


def outlier(t: Thresholds) -> str:
    """Return the limits at which StepOutlier triggers."""
    times = f", the longest {t.steps.times_median:g} times the median" if t.steps.times_median else ""
    share = f" and {100 * t.steps.share:g} % of all" if t.steps.share else ""
    parts = f"{100 * t.steps.outlier_share:g} % of the time, at least {t.steps.outlier_seconds:g} s"
    lost = f", and {parts}, are lost by them" if t.steps.outlier_share else ""
    return f"more than {t.steps.count} steps{share} above mean + {t.steps.sigma:g} sigma{times}{lost}; {t.steps.fewest} steps at least"


def memory(t: Thresholds) -> str:
    """Return the limits at which GPUMemoryIncrease triggers."""
    used = (
        f"the bytes in use grow from fifth to fifth of the run, by more than {100 * t.system.memory_growth:g} % in all"
    )
    if t.system.memory_increase is None:
        return f"{used}; not judged if only the memory's activity is measured"
    return (
        f"{used}; if the bytes are not known, the mean memory activity of {t.system.memory_window} successive points exceeds "
        f"the mean of the points before by more than {t.system.memory_increase:g}"
    )


def low(t: Thresholds) -> str:
    """Return the limits at which LowGPUUtilization triggers."""
    low = "median" if t.system.gpu_low_percentile == 50 else f"p{t.system.gpu_low_percentile}"
    return f"p95 below {t.system.gpu_p95:g} %, or {low} below {t.system.gpu_low:g} %; {waiting(t)}"


def _often(share: float) -> str:
    return f" in more than {100 * share:g} % of its records"


def update_ratio(t: Thresholds) -> str:
    """Return the limits at which WeightUpdateRatio triggers."""
    held = t.updates
    smallest = f" (if that is at least {held.smallest_weight:g})" if held.smallest_weight else ""
    return (
        f"root mean square of an update divided by that of the weights{smallest} above {held.ratio_high:g} or below "
        f"{held.ratio_low:g} for a layer" + _often(held.share_of_records)
    )


def unchanged(t: Thresholds) -> str:
    """Return the limits at which UnchangedTensor triggers."""
    held = t.updates
    share = f", and in more than {100 * held.unchanged_share:g} % of all" if held.unchanged_share else ""
    return (
        f"no update of a layer above {held.atol:g} + {held.rtol:g} of its weights in {held.unchanged_steps} recorded steps in a "
        f"row{share}"
    )


def dead(t: Thresholds) -> str:
    """Return the limits at which DeadRelu triggers."""
    held = t.start
    return f"more than {held.dead_percent:g} % of a layer's channels dead (at most 1 % of their values above 0){_often(held.dead_records)}"


def poor(t: Thresholds) -> str:
    """Return the limits at which PoorWeightInitialization triggers."""
    held = t.start
    return (
        f"random weights; in the first {held.steps} recorded steps variances of weights that differ by a factor of {held.variance_ratio:g} "
        f"{'and' if held.all_signs else 'or'} gradients that span less than {held.gradient_range:g}, and {held.patience} steps "
        "without a lower loss"
    )


def inputs(t: Thresholds) -> str:
    """Return the limits at which CheckInputImages triggers."""
    held = t.start
    narrow = f", or a standard deviation below {held.input_std:g}" if held.input_std else ""
    return (
        f"a channel's mean above {held.input_mean:g} or below -{held.input_mean:g} after normalisation{narrow}; "
        f"{held.photos} photos at least"
    )


def loaders(t: Thresholds) -> str:
    """Return the limits at which Dataloader triggers."""
    if t.system.loaders_idle:
        return (
            f"loaders below {t.system.loaders_percent:g} % of the cores while a GPU's median use is below {t.system.gpu_low:g} %, or while "
            f"fine-tuning waits for photos for more than {100 * (t.steps.wait_share or 0):g} % of its time"
        )
    return f"median of the loaders below {t.system.loaders_percent:g} % or above {t.system.loaders_most_percent:g} % of the cores"
