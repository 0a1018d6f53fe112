"""The limits of rules in words, for the table of docs/reports.md."""

from reports.rules.loss import SMOOTH
from reports.rules.thresholds import Thresholds


def overfit(t: Thresholds) -> str:
    """Overfit."""
    if t.overfit.validation_rises:
        return (
            f"validation loss {100 * t.overfit.ratio:g} % above its best in the last {t.overfit.patience} epochs "
            f"({100 * t.overfit.patience_share:g} % of the run if that is more), while the training loss falls"
        )
    return f"(validation loss - training loss) / training loss > {t.overfit.ratio:g} in {t.overfit.patience} epoch"


def loss(t: Thresholds) -> str:
    """LossNotDecreasing."""
    if t.loss.whole_run:
        return (
            f"smoothed over 1/{SMOOTH} of the steps: falls by less than {t.loss.decrease_percent:g} % in the whole run, "
            f"ends {t.loss.increase_percent:g} % above its best, or rises to {t.loss.times_guess:g} times the loss of the first step "
            f"and of guessing, ln(classes); {t.loss.steps} steps at least"
        )
    return f"not {t.loss.decrease_percent:g} % lower than {t.loss.steps} steps before; a rise over {t.loss.increase_percent:g} % is named"


def overtraining(t: Thresholds) -> str:
    """Overtraining."""
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
    """Confusion."""
    if t.classes.pair_share is not None:
        return (
            f"a pair whose 95 % interval lies {100 * t.classes.pair_share:g} % of the class's photos above the share of the other "
            f"classes that are taken for the same one, {t.classes.pair_photos} photos at least"
        )
    return f"of a class's predictions less than {t.classes.diagonal:g} right, or more than {t.classes.off_diagonal:g} of one other class"


def imbalance(t: Thresholds) -> str:
    """ClassImbalance."""
    how = "by its 95 % interval, " if t.classes.pair_share is not None else ""
    return (
        f"largest class {t.classes.imbalance:g} times the smallest, or {how}more than {t.classes.misprediction:g} of a class "
        f"predicted wrongly; {t.classes.photos} photos at least"
    )


def waiting(t: Thresholds) -> str:
    """How many points a rule needs and which of them it looks at."""
    waiting = t.system.waiting
    start = f", without the first {100 * waiting.start_share:g} % of the run" if waiting.start_share else ""
    last = f", of which the last {waiting.last_points} count" if waiting.last_points else ""
    return f"{waiting.points} points at least{start}{last}"


def bottleneck(t: Thresholds, busy: float) -> str:
    """CPUBottleneck and IOBottleneck."""
    return (
        f"in more than {t.system.bottleneck_percent:g} % of the snapshots a core above {busy:g} % and a GPU below "
        f"{t.system.idle_gpu:g} %; {t.system.waiting.points} at least"
    )


def outlier(t: Thresholds) -> str:
    """StepOutlier."""
    times = f", the longest {t.steps.times_median:g} times the median" if t.steps.times_median else ""
    share = f" and {100 * t.steps.share:g} % of all" if t.steps.share else ""
    return f"more than {t.steps.count} steps{share} above mean + {t.steps.sigma:g} sigma{times}; {t.steps.fewest} steps at least"


def memory(t: Thresholds) -> str:
    """GPUMemoryIncrease."""
    if t.system.memory_increase is None:
        return "not judged: the measured quantity is how busy the memory is"
    return f"mean of {t.system.memory_window} points more than {t.system.memory_increase:g} above that of the points before"


def low(t: Thresholds) -> str:
    """LowGPUUtilization."""
    low = "median" if t.system.gpu_low_percentile == 50 else f"p{t.system.gpu_low_percentile}"
    return f"p95 below {t.system.gpu_p95:g} %, or {low} below {t.system.gpu_low:g} %; {waiting(t)}"
