"""The two named sets of thresholds. Percentages are from 0 to 100, shares from 0 to 1.

SAGEMAKER holds the values that SageMaker used. For the profiler's rules they come from the public history of
awslabs/sagemaker-debugger, confirmed by 18 published reports; for Debugger's rules they come from SageMaker's guide of 2023.
OURS judges a whole run after its end, so it can express patience as a share of the run, not only as a number of points.
A comment that begins with "SageMaker" or "ours" holds for that set only.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The number of points that a rule needs, and the part of the points that it judges."""

    points: int  # the rules need at least this many points
    start_share: float = (
        0.0  # share of the run at its start that is ignored, because the job is still loading and warming up
    )
    last_points: int = 0  # only this many points at the end are judged; 0: all points


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The thresholds of LossNotDecreasing."""

    steps: int  # SageMaker: a loss is compared with the loss at least this many steps before; ours: fewer steps are not judged
    decrease_percent: float  # the loss must fall by at least this
    increase_percent: float  # SageMaker: larger rises are counted in the sentence; ours: limit for the rise from the best loss to the last
    whole_run: bool  # True: compare the smoothed start, best and end of the run; False: compare pairs of steps
    times_guess: float  # ours: limit for the smoothed loss, as a multiple of the loss of guessing, ln(classes)


@dataclass(frozen=True, kw_only=True)
class Overfit:
    """The thresholds of Overfit."""

    # SageMaker: limit for (validation loss - training loss) / training loss.
    # Ours: limit for the rise of the validation loss from its lowest value, as a share of that value.
    ratio: float
    patience: int  # number of epochs above the limit; ours: at the end of the run, in a row
    patience_share: float  # patience as a share of the run's epochs; the larger of the two patiences counts
    validation_rises: bool  # True: the rise of the validation loss is judged; False: its distance to the training loss


@dataclass(frozen=True, kw_only=True)
class Overtraining:
    """The thresholds of Overtraining."""

    train_patience: int  # epochs without an improvement of the training loss; 0: the training loss is ignored
    validation_patience: int  # epochs without an improvement of the validation loss
    patience_share: float  # patience as a share of the run's epochs; the larger of the two patiences counts
    delta: float  # a smaller decrease of the loss is not an improvement
    relative: bool  # True: delta is a share of the best loss; False: delta is an absolute loss
    seconds: float  # no finding if the epochs without an improvement took less than this in all


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """The thresholds of VanishingGradient and AllZero."""

    vanishing: float  # a gradient with a smaller root mean square has vanished
    zero_percent: float  # percentage of a layer's values that must be zero
    share_of_records: float  # share of a layer's records that may be vanished or zero


@dataclass(frozen=True, kw_only=True)
class Updates:
    """The thresholds of WeightUpdateRatio and UnchangedTensor."""

    ratio_high: float  # limits for the ratio of two root mean squares: that of an update and that of the weights
    ratio_low: float
    smallest_weight: float  # weights with a smaller root mean square are not judged, because many weights begin at 0
    share_of_records: float  # share of a layer's records in which the ratio may be outside the limits
    unchanged_steps: int  # number of successive recorded steps without a change
    unchanged_share: float  # share of all recorded steps of a layer that may be without a change
    # A step changes nothing if its largest update is at most atol + rtol * (root mean square of the weights).
    rtol: float
    atol: float


@dataclass(frozen=True, kw_only=True)
class Start:
    """The thresholds of PoorWeightInitialization, DeadRelu and CheckInputImages."""

    variance_ratio: float  # limit for the largest variance of a layer's weights divided by the smallest
    gradient_range: float  # limit for the distance between the 5th and the 95th percentile of the gradients
    all_signs: bool  # True: variances and gradients must both be beyond their limits; False: one is enough
    patience: int  # number of successive steps without a new lowest loss
    steps: int  # number of recorded steps that are judged
    dead_percent: float  # percentage of a layer's channels that may be dead
    dead_records: float  # share of a layer's records that may be above dead_percent
    input_mean: float  # limit for the absolute value of a channel's mean after normalisation
    input_std: float  # lower limit for a channel's standard deviation after normalisation; below it photos show almost nothing; 0: ignored
    photos: int  # the rules need at least this many photos


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The thresholds of ClassImbalance and Confusion."""

    imbalance: float  # limit for the photos of the largest class divided by those of the smallest
    misprediction: float  # share of a class's photos that may be predicted wrongly
    photos: int  # the rules need at least this many photos
    diagonal: float | None  # at least this share of the predictions of a class must be right; None: not judged
    # At most this share of the predictions of a class may be of one other class; None: not judged.
    off_diagonal: float | None
    # Limit for the lower bound of the 95 % interval of a pair's confused share; None: pairs are not judged.
    pair_share: float | None
    pair_photos: int  # a pair with fewer confused photos is not a finding


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The thresholds of StepOutlier, MaxInitializationTime, StalledTraining and DataWait."""

    sigma: float  # an outlier takes more than the mean plus this many standard deviations
    count: int  # number of outliers that may occur
    share: float  # share of the steps that may be outliers
    times_median: float  # no finding if the longest step takes less than this many times the median
    outlier_share: float  # no finding if the outliers' time above the median is a smaller share of all steps' time
    outlier_seconds: float  # no finding if all outliers together took fewer seconds than this beyond the median
    fewest: int  # StepOutlier needs at least this many steps
    start_minutes: float  # limit for the time until the first step
    stalled_seconds: float  # limit for the time without a step or any other record
    # Limit for the share of the steps' time that is spent waiting for photos; None: the set has no DataWait.
    wait_share: float | None
    wait_seconds: float  # DataWait needs steps of at least this many seconds in all


@dataclass(frozen=True, kw_only=True)
class System:
    """The thresholds of the profiler's rules on processors, GPUs and disks. All use is in percent."""

    waiting: Waiting
    gpu_p95: float  # LowGPUUtilization: lower limit for the 95th percentile of a GPU's use
    gpu_low: float  # LowGPUUtilization: lower limit for the percentile gpu_low_percentile
    gpu_low_percentile: int
    batch_p95: float  # BatchSize: lower limit for the 95th percentiles of processor, GPUs and GPU memory
    busy_cpu: float  # CPUBottleneck: a core above this is busy
    busy_io: float  # IOBottleneck: a core above this waits for I/O
    idle_gpu: float  # CPUBottleneck and IOBottleneck: a GPU below this is idle
    bottleneck_percent: float  # CPUBottleneck and IOBottleneck: percentage of the snapshots that may be bottlenecks
    balance: float  # LoadBalancing: limit for the distance between the histograms of two GPUs
    # GPUMemoryIncrease: limit for the rise of memory activity, in percentage points. None: only bytes in use are judged.
    memory_increase: float | None
    memory_growth: float  # GPUMemoryIncrease: limit for the growth of the bytes in use, as a share
    memory_window: int  # GPUMemoryIncrease: number of points of memory activity in a mean
    loaders_percent: float  # Dataloader: lower limit for loaders, in percent of the cores
    loaders_most_percent: float | None  # Dataloader: upper limit for loaders, in percent of the cores; None: no limit
    loaders_idle: bool  # Dataloader: True if a finding also requires that training or a GPU waits


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The thresholds of the rules on an endpoint."""

    requests: int  # the rules need at least this many requests
    errors: float  # share of the answers that may be errors
    tail: float  # limit for the 99th percentile of a part of the latency divided by its median
    slow: float  # seconds; a 99th percentile below this is not a finding
    tail_requests: int  # EndpointTail needs at least this many requests for a 99th percentile
    cold: float  # share of the requests that may wait until a model is loaded


@dataclass(frozen=True, kw_only=True)
class Similar:
    """The thresholds of SimilarAcrossRuns."""

    tolerance: float  # two losses count as the same if they differ by at most this share of the larger one


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """One named set of thresholds."""

    name: str
    loss: Loss
    overfit: Overfit
    overtraining: Overtraining
    tensors: Tensors
    updates: Updates
    start: Start
    classes: Classes
    steps: Steps
    system: System
    serving: Serving | None  # None: the set has no rules on endpoints
    similar: Similar | None  # None: no thresholds are known


SAGEMAKER = Thresholds(
    name="sagemaker",
    loss=Loss(steps=10, decrease_percent=0.1, increase_percent=5, whole_run=False, times_guess=0),
    overfit=Overfit(ratio=0.1, patience=1, patience_share=0, validation_rises=False),
    overtraining=Overtraining(
        train_patience=5, validation_patience=10, patience_share=0, delta=0.01, relative=False, seconds=0
    ),
    tensors=Tensors(vanishing=1e-7, zero_percent=100, share_of_records=0),
    updates=Updates(
        ratio_high=10,
        ratio_low=1e-8,
        smallest_weight=0,
        share_of_records=0,
        unchanged_steps=3,
        unchanged_share=0,
        rtol=1e-5,
        atol=1e-8,
    ),
    start=Start(
        variance_ratio=10,
        gradient_range=0.001,
        all_signs=False,
        patience=5,
        steps=10,
        dead_percent=50,
        dead_records=0,
        input_mean=0.2,
        input_std=0,
        photos=500,
    ),
    classes=Classes(
        imbalance=10,
        misprediction=0.7,
        photos=500,
        diagonal=0.9,
        off_diagonal=0.1,
        pair_share=None,
        pair_photos=1,
    ),
    steps=Steps(
        sigma=3,
        count=10,
        share=0,
        times_median=0,
        outlier_share=0,
        outlier_seconds=0,
        fewest=101,
        start_minutes=20,
        stalled_seconds=1800,
        wait_share=None,
        wait_seconds=0,
    ),
    system=System(
        waiting=Waiting(points=1000, last_points=500),
        gpu_p95=70,
        gpu_low=10,
        gpu_low_percentile=5,
        batch_p95=70,
        busy_cpu=90,
        busy_io=50,
        idle_gpu=10,
        bottleneck_percent=50,
        balance=0.2,
        memory_increase=5,
        memory_growth=0.05,
        memory_window=10,
        loaders_percent=70,
        loaders_most_percent=200,
        loaders_idle=False,
    ),
    serving=None,
    similar=None,
)

OURS = Thresholds(
    name="ours",
    loss=Loss(steps=20, decrease_percent=5, increase_percent=25, whole_run=True, times_guess=2),
    overfit=Overfit(ratio=0.05, patience=2, patience_share=0.1, validation_rises=True),
    overtraining=Overtraining(
        train_patience=0, validation_patience=3, patience_share=0.3, delta=0.01, relative=True, seconds=10
    ),
    tensors=Tensors(vanishing=1e-7, zero_percent=100, share_of_records=0.1),
    updates=Updates(
        ratio_high=10,
        ratio_low=1e-8,
        smallest_weight=1e-6,
        share_of_records=0.1,
        unchanged_steps=3,
        unchanged_share=0.5,
        rtol=1e-7,
        atol=1e-12,
    ),
    start=Start(
        variance_ratio=10,
        gradient_range=0.001,
        all_signs=True,
        patience=20,
        steps=10,
        dead_percent=50,
        dead_records=0.5,
        input_mean=1,
        input_std=0.1,
        photos=20,
    ),
    classes=Classes(
        imbalance=10,
        misprediction=0.7,
        photos=50,
        diagonal=None,
        off_diagonal=None,
        pair_share=0.2,
        pair_photos=3,
    ),
    steps=Steps(
        sigma=3,
        count=2,
        share=0.01,
        times_median=3,
        outlier_share=0.1,
        outlier_seconds=10,
        fewest=50,
        start_minutes=5,
        stalled_seconds=1800,
        wait_share=0.3,
        wait_seconds=10,
    ),
    system=System(
        waiting=Waiting(points=20, start_share=0.1),
        gpu_p95=70,
        gpu_low=30,
        gpu_low_percentile=50,
        batch_p95=70,
        busy_cpu=90,
        busy_io=50,
        idle_gpu=10,
        bottleneck_percent=20,
        balance=0.2,
        memory_increase=None,
        memory_growth=0.05,
        memory_window=10,
        loaders_percent=70,
        loaders_most_percent=None,
        loaders_idle=True,
    ),
    serving=Serving(requests=50, errors=0.01, tail=10, slow=0.2, tail_requests=200, cold=0.01),
    similar=Similar(tolerance=0.001),
)
SETS = (OURS, SAGEMAKER)
