"""All rules: what each looks for, its limits in words, and its verdicts under both sets of thresholds."""

from collections.abc import Callable
from dataclasses import dataclass

from reports.rules import classes, devices, learning, starving, steps, tensors
from reports.rules.thresholds import OURS, SAGEMAKER, Thresholds
from reports.rules.verdict import Evidence, Verdict
from reports.system import PlatformVerdict


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule; `limits` puts a set's thresholds in words."""

    name: str
    about: str
    judge: Callable[[Evidence, Thresholds], Verdict | None]
    limits: Callable[[Thresholds], str]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A rule with its verdicts; `sagemaker` is our computation with SageMaker's values, `platform` what SageMaker said."""

    rule: str
    about: str
    ours: Verdict
    sagemaker: Verdict | None
    platform: PlatformVerdict | None


def _overfit(t: Thresholds) -> str:
    if t.overfit.validation_rises:
        return (
            f"validation loss {100 * t.overfit.ratio:g} % above its best in the last {t.overfit.patience} epochs "
            f"({100 * t.overfit.patience_share:g} % of the run if that is more), while the training loss falls"
        )
    return f"(validation loss - training loss) / training loss > {t.overfit.ratio:g} in {t.overfit.patience} epoch"


def _loss(t: Thresholds) -> str:
    if t.loss.whole_run:
        return (
            f"smoothed over 1/{learning.SMOOTH} of the steps: falls by less than {t.loss.decrease_percent:g} % in the whole run, "
            f"or ends {t.loss.increase_percent:g} % above its best; {t.loss.steps} steps at least"
        )
    return f"not {t.loss.decrease_percent:g} % lower than {t.loss.steps} steps before; a rise over {t.loss.increase_percent:g} % is named"


def _overtraining(t: Thresholds) -> str:
    unit = "of the best loss" if t.overtraining.relative else "of loss"
    share = f" and {100 * t.overtraining.patience_share:g} % of the run" if t.overtraining.patience_share else ""
    train = f"{t.overtraining.train_patience} epochs of training and " if t.overtraining.train_patience else ""
    accuracy = " and no better accuracy" if t.overtraining.relative else ""
    return (
        f"{train}{t.overtraining.validation_patience} epochs of validation{share} without an improvement of "
        f"{t.overtraining.delta:g} {unit}{accuracy}"
    )


def _confusion(t: Thresholds) -> str:
    if t.classes.pair_share is not None:
        return (
            f"a pair whose 95 % interval lies above {100 * t.classes.pair_share:g} % of the class's photos, "
            f"{t.classes.pair_photos} photos at least"
        )
    return f"of a class's predictions less than {t.classes.diagonal:g} right, or more than {t.classes.off_diagonal:g} of one other class"


def _imbalance(t: Thresholds) -> str:
    how = "by its 95 % interval, " if t.classes.pair_share is not None else ""
    return (
        f"largest class {t.classes.imbalance:g} times the smallest, or {how}more than {t.classes.misprediction:g} of a class "
        f"predicted wrongly; {t.classes.photos} photos at least"
    )


def _waiting(t: Thresholds) -> str:
    waiting = t.system.waiting
    start = f", without the first {100 * waiting.start_share:g} % of the run" if waiting.start_share else ""
    last = f", of which the last {waiting.last_points} count" if waiting.last_points else ""
    return f"{waiting.points} points at least{start}{last}"


def _bottleneck(t: Thresholds, busy: float) -> str:
    return (
        f"in more than {t.system.bottleneck_percent:g} % of the snapshots a core above {busy:g} % and a GPU below "
        f"{t.system.idle_gpu:g} %; {t.system.waiting.points} at least"
    )


def _outlier(t: Thresholds) -> str:
    times = f", the longest {t.steps.times_median:g} times the median" if t.steps.times_median else ""
    share = f" and {100 * t.steps.share:g} % of all" if t.steps.share else ""
    return f"more than {t.steps.count} steps{share} above mean + {t.steps.sigma:g} sigma{times}; {t.steps.fewest} steps at least"


def _memory(t: Thresholds) -> str:
    if t.system.memory_increase is None:
        return "not judged: the measured quantity is how busy the memory is"
    return f"mean of {t.system.memory_window} points more than {t.system.memory_increase:g} above that of the points before"


def _low(t: Thresholds) -> str:
    low = "median" if t.system.gpu_low_percentile == 50 else f"p{t.system.gpu_low_percentile}"
    return f"p95 below {t.system.gpu_p95:g} %, or {low} below {t.system.gpu_low:g} %; {_waiting(t)}"


RULES = (
    Rule(
        name="LowGPUUtilization",
        about="GPUs have little to do",
        judge=starving.low_gpu,
        limits=_low,
    ),
    Rule(
        name="CPUBottleneck",
        about="a GPU waits for the processor",
        judge=starving.cpu_bottleneck,
        limits=lambda t: _bottleneck(t, t.system.busy_cpu),
    ),
    Rule(
        name="IOBottleneck",
        about="a GPU waits for the disk",
        judge=starving.io_bottleneck,
        limits=lambda t: _bottleneck(t, t.system.busy_io).replace("a core above", "a core's I/O wait above"),
    ),
    Rule(
        name="DataWait",
        about="steps wait for photos (our own rule)",
        judge=steps.data_wait,
        limits=lambda t: (
            "no such rule"
            if t.steps.wait_share is None
            else f"more than {100 * t.steps.wait_share:g} % of the steps' time; {t.steps.wait_seconds:g} s at least"
        ),
    ),
    Rule(
        name="Dataloader",
        about="too few processes load photos",
        judge=starving.dataloader,
        limits=lambda t: (
            f"loaders below {t.system.loaders_percent:g} % of the cores while a GPU's median use is below {t.system.gpu_low:g} %"
            if not t.system.waiting.last_points
            else f"median of the loaders below {t.system.loaders_percent:g} % or above 200 % of the cores"
        ),
    ),
    Rule(
        name="BatchSize",
        about="there is room for larger batches",
        judge=starving.batch_size,
        limits=lambda t: f"p95 of CPU, GPUs and GPU memory below {t.system.batch_p95:g} %; {_waiting(t)}",
    ),
    Rule(
        name="LoadBalancing",
        about="some GPUs work while others idle",
        judge=devices.load_balancing,
        limits=lambda t: (
            f"root of the Jensen-Shannon divergence of two GPUs' histograms above {t.system.balance:g}; "
            f"{t.system.waiting.points} points at least"
        ),
    ),
    Rule(
        name="GPUMemoryIncrease",
        about="GPU memory grows",
        judge=devices.memory_increase,
        limits=_memory,
    ),
    Rule(
        name="MaxInitializationTime",
        about="long until the first step",
        judge=steps.initialization,
        limits=lambda t: f"more than {t.steps.start_minutes:g} minutes",
    ),
    Rule(
        name="StepOutlier",
        about="some steps take far longer than others",
        judge=steps.step_outlier,
        limits=_outlier,
    ),
    Rule(
        name="ExplodingTensor",
        about="a loss or gradient is infinite or not a number",
        judge=tensors.exploding,
        limits=lambda t: "any",
    ),
    Rule(
        name="LossNotDecreasing",
        about="the training loss does not fall",
        judge=learning.loss_not_decreasing,
        limits=_loss,
    ),
    Rule(
        name="Overfit",
        about="the model gets better on training photos and worse on others",
        judge=learning.overfit,
        limits=_overfit,
    ),
    Rule(
        name="Overtraining",
        about="training went on after it was of use",
        judge=learning.overtraining,
        limits=_overtraining,
    ),
    Rule(
        name="VanishingGradient",
        about="a layer does not learn",
        judge=tensors.vanishing,
        limits=lambda t: (
            f"root mean square of a layer's gradient below {t.tensors.vanishing:g} in more than "
            f"{100 * t.tensors.share_of_records:g} % of its records"
        ),
    ),
    Rule(
        name="AllZero",
        about="all of a layer's values are zero",
        judge=tensors.all_zero,
        limits=lambda t: (
            f"{t.tensors.zero_percent:g} % of the values in more than {100 * t.tensors.share_of_records:g} % of its records"
        ),
    ),
    Rule(
        name="ClassImbalance",
        about="classes have very different numbers of photos, or some are mostly missed",
        judge=classes.class_imbalance,
        limits=_imbalance,
    ),
    Rule(
        name="Confusion",
        about="classes are taken for one another",
        judge=classes.confusion,
        limits=_confusion,
    ),
)


def judge(evidence: Evidence) -> tuple[Judged, ...]:
    """Return every rule's verdicts: triggered ones first, the most costly before the others, then quiet, then not judged."""
    platform = {one.rule: one for one in evidence.profile.verdicts} if evidence.profile else {}
    found = []
    for rule in RULES:
        ours = rule.judge(evidence, OURS)
        assert ours is not None, f"{rule.name} has no verdict of our own"
        found.append(
            Judged(
                rule=rule.name,
                about=rule.about,
                ours=ours,
                sagemaker=rule.judge(evidence, SAGEMAKER),
                platform=platform.get(rule.name),
            )
        )
    order = {"triggered": 0, "quiet": 1, "not judged": 2}
    return tuple(sorted(found, key=lambda one: (order[one.ours.state], -one.ours.loss)))
