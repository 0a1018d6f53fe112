"""The table of all rules, with their limits in words, and `judge`, which applies them under both sets of thresholds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reports.rules import (
    across,
    beginning,
    classes,
    devices,
    endpoint,
    learning,
    loaders,
    loss,
    starving,
    steps,
    tensors,
    updates,
    words,
)
from reports.rules.cost import Cost, Price, finding_cost
from reports.rules.thresholds import OURS, SAGEMAKER, Thresholds
from reports.rules.verdict import Evidence, Verdict
from reports.system import PlatformVerdict


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. `about` says in words what it finds; `limits` returns a set's thresholds in words."""

    name: str
    about: str
    judge: Callable[[Evidence, Thresholds], Verdict | None]
    limits: Callable[[Thresholds], str]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdicts of a rule: `ours` and `sagemaker` are computed here under the two sets; `platform` comes from SageMaker's own rule."""

    rule: str
    about: str
    ours: Verdict
    sagemaker: Verdict | None
    platform: PlatformVerdict | None
    cost: Cost | None  # the cost of the finding of `ours`


ENDPOINT_RULES = (
    Rule(
        name="EndpointErrors",
        about="the endpoint answers with errors (our own rule)",
        judge=endpoint.errors,
        limits=endpoint.limits_of_errors,
    ),
    Rule(
        name="EndpointTail",
        about="some answers take far longer than others (our own rule)",
        judge=endpoint.tail,
        limits=endpoint.limits_of_tail,
    ),
    Rule(
        name="EndpointColdStarts",
        about="requests wait for a model to be loaded (our own rule)",
        judge=endpoint.cold_starts,
        limits=endpoint.limits_of_cold_starts,
    ),
)

RULES = (
    Rule(
        name="LowGPUUtilization",
        about="GPUs have little to do",
        judge=starving.low_gpu,
        limits=words.low,
    ),
    Rule(
        name="CPUBottleneck",
        about="a GPU waits for the processor",
        judge=starving.cpu_bottleneck,
        limits=lambda t: words.bottleneck(t, t.system.busy_cpu),
    ),
    Rule(
        name="IOBottleneck",
        about="a GPU waits for the disk",
        judge=starving.io_bottleneck,
        limits=lambda t: words.bottleneck(t, t.system.busy_io).replace("a core above", "a core's I/O wait above"),
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
        judge=loaders.dataloader,
        limits=words.loaders,
    ),
    Rule(
        name="BatchSize",
        about="there is room for larger batches",
        judge=starving.batch_size,
        limits=lambda t: f"p95 of CPU, GPUs and GPU memory below {t.system.batch_p95:g} %; {words.waiting(t)}",
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
        limits=words.memory,
    ),
    Rule(
        name="MaxInitializationTime",
        about="it takes long until the first step",
        judge=steps.initialization,
        limits=lambda t: f"more than {t.steps.start_minutes:g} minutes",
    ),
    Rule(
        name="StepOutlier",
        about="some steps take far longer than others",
        judge=steps.step_outlier,
        limits=words.outlier,
    ),
    Rule(
        name="StalledTraining",
        about="training stood still",
        judge=steps.stalled,
        limits=lambda t: f"{t.steps.stalled_seconds:,.0f} s without a step or any other record",
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
        judge=loss.loss_not_decreasing,
        limits=words.loss,
    ),
    Rule(
        name="Overfit",
        about="the model gets better on training photos and worse on others",
        judge=learning.overfit,
        limits=words.overfit,
    ),
    Rule(
        name="Overtraining",
        about="training went on although nothing improved any more",
        judge=learning.overtraining,
        limits=words.overtraining,
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
        name="WeightUpdateRatio",
        about="weights change by too much or too little",
        judge=updates.update_ratio,
        limits=words.update_ratio,
    ),
    Rule(
        name="UnchangedTensor",
        about="weights have stopped changing",
        judge=updates.unchanged,
        limits=words.unchanged,
    ),
    Rule(
        name="DeadRelu",
        about="channels of ReLU layers are dead",
        judge=beginning.dead_relu,
        limits=words.dead,
    ),
    Rule(
        name="PoorWeightInitialization",
        about="randomly initialised weights prevent the network from learning",
        judge=beginning.poor_weights,
        limits=words.poor,
    ),
    Rule(
        name="CheckInputImages",
        about="photos are far from those of the pretraining",
        judge=beginning.input_images,
        limits=words.inputs,
    ),
    Rule(
        name="ClassImbalance",
        about="classes have very different numbers of photos, or some are mostly missed",
        judge=classes.class_imbalance,
        limits=words.imbalance,
    ),
    Rule(
        name="Confusion",
        about="classes are taken for one another",
        judge=classes.confusion,
        limits=words.confusion,
    ),
    *ENDPOINT_RULES,
)

# The rules that compare two runs.
RULES_ACROSS = (
    Rule(
        name="SimilarAcrossRuns",
        about="two runs with different settings learn the same, or two with the same settings learn differently",
        judge=across.similar,
        limits=lambda t: (
            "no threshold is known"
            if t.similar is None
            else f"different settings: all losses differ by {100 * t.similar.tolerance:g} % at most; same settings: a loss differs by more"
        ),
    ),
)


def judge(evidence: Evidence, rules: Sequence[Rule] = RULES, price: Price | None = None) -> tuple[Judged, ...]:
    """Return the verdicts of these rules: first triggered, then quiet, then not judged; within each state, the largest loss first."""
    platform = {one.rule: one for one in evidence.profile.verdicts} if evidence.profile else {}
    found = []
    for rule in rules:
        ours = rule.judge(evidence, OURS)
        assert ours is not None, f"{rule.name} has no verdict of our own"
        found.append(
            Judged(
                rule=rule.name,
                about=rule.about,
                ours=ours,
                sagemaker=rule.judge(evidence, SAGEMAKER),
                platform=platform.get(rule.name),
                cost=finding_cost(rule.name, ours, evidence, price),
            )
        )
    order = {"triggered": 0, "quiet": 1, "not judged": 2}
    return tuple(sorted(found, key=lambda one: (order[one.ours.state], -one.ours.loss)))
