"""The two named sets of thresholds. Percentages are from 0 to 100, shares from 0 to 1.

SAGEMAKER has the values that really ran: those of the profiler's rules from the public history of
awslabs/sagemaker-debugger, confirmed by 18 published reports, and those of Debugger's rules from the guide of 2023.
OURS judges a whole run after its end, so that patience is a share of the run and not a number of points.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """When there is enough to judge by."""

    points: int  # fewer are not judged
    start_share: float = 0.0  # the first part of the run is not looked at: loading and warming up
    last_points: int = 0  # only so many points at the end are looked at; 0: all


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The thresholds of LossNotDecreasing."""

    steps: int  # SageMaker: a loss is compared with the one at least so many steps before; ours: fewer are not judged
    decrease_percent: float  # a smaller decrease is none
    increase_percent: float  # a larger increase is named as one
    whole_run: bool  # compare smoothed start, best and end of the run, in place of pairs of steps
    times_guess: float  # ours: a smoothed loss is too high at so many times that of guessing, ln(classes)


@dataclass(frozen=True, kw_only=True)
class Overfit:
    """The thresholds of Overfit."""

    ratio: (
        float  # SageMaker: (validation loss - train loss) / train loss; ours: rise of the validation loss over its best
    )
    patience: int  # epochs in a row
    patience_share: float
    validation_rises: bool  # only a validation loss that rises counts


@dataclass(frozen=True, kw_only=True)
class Overtraining:
    """The thresholds of Overtraining."""

    train_patience: int  # epochs without improvement of the train loss; 0: not looked at
    validation_patience: int
    patience_share: float
    delta: float  # improvement that counts
    relative: bool  # delta is a share of the best loss
    seconds: float  # epochs that took less in all are not worth a finding


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """VanishingGradient and AllZero."""

    vanishing: float  # root mean square of a layer's gradient below which it has vanished
    zero_percent: float  # of a layer's values
    share_of_records: float  # vanished or zero in more than this share of a layer's records


@dataclass(frozen=True, kw_only=True)
class Updates:
    """WeightUpdateRatio and UnchangedTensor."""

    ratio_high: float  # root mean square of an update over that of the weights
    ratio_low: float
    smallest_weight: float  # weights of a smaller root mean square are not judged: many begin at 0
    share_of_records: float  # too much or too little in more than this share of a layer's records
    unchanged_steps: int  # recorded steps in a row
    unchanged_share: float  # and more than this share of all recorded steps
    rtol: float
    atol: float


@dataclass(frozen=True, kw_only=True)
class Start:
    """PoorWeightInitialization, DeadRelu and CheckInputImages."""

    variance_ratio: float  # largest over smallest variance of the layers' weights
    gradient_range: float  # from the 5th to the 95th percentile
    all_signs: bool  # both must be there, not one of them
    patience: int  # steps without a new lowest loss
    steps: int  # recorded ones that are looked at
    dead_percent: float  # of a layer's channels
    dead_records: float  # in more than this share of its records
    input_mean: float  # of a channel, after normalisation
    input_std: float  # a channel with a smaller standard deviation shows next to nothing; 0: not looked at
    photos: int  # fewer are not judged


@dataclass(frozen=True, kw_only=True)
class Classes:
    """ClassImbalance and Confusion."""

    imbalance: float  # largest class over smallest
    misprediction: float  # share of a class's photos that are predicted wrongly
    photos: int  # fewer are not judged
    diagonal: float | None  # of the predictions of a class, at least this share must be right; None: not looked at
    off_diagonal: float | None  # and at most this share may belong to one other class; None: not looked at
    pair_share: float | None  # the interval of a pair's share must lie above; None: not looked at
    pair_photos: int


@dataclass(frozen=True, kw_only=True)
class Steps:
    """StepOutlier, MaxInitializationTime, StalledTraining and DataWait."""

    sigma: float
    count: int  # more outliers are too many
    share: float  # and more than this share of the steps
    times_median: float  # the longest step must take so many times the median
    outlier_share: float  # and the outliers must take so much of the steps' time beyond the median
    fewest: int  # steps
    start_minutes: float
    stalled_seconds: float  # without a step or any other record
    wait_share: float | None  # of the time spent waiting for photos; None: no such rule
    wait_seconds: float  # a shorter training is not judged


@dataclass(frozen=True, kw_only=True)
class System:
    """The profiler's rules on processors, GPUs and disks."""

    waiting: Waiting
    gpu_p95: float  # LowGPUUtilization
    gpu_low: float  # LowGPUUtilization: limit of the low percentile
    gpu_low_percentile: int
    batch_p95: float
    busy_cpu: float
    busy_io: float
    idle_gpu: float
    bottleneck_percent: float
    balance: float
    memory_increase: float | None  # None: judged by the bytes in use alone, see docs/reports.md
    memory_growth: float  # of the bytes in use, from the first to the last part of the run
    memory_window: int
    loaders_percent: float  # Dataloader: fewer loaders than this share of the cores
    loaders_most_percent: float | None  # or more than this; None: there cannot be too many
    loaders_idle: bool  # only where training or a GPU waits


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The rules on an endpoint."""

    requests: int  # fewer are not judged
    errors: float  # share of the answers
    tail: float  # p99 of a part over its p50
    slow: float  # seconds; a shorter p99 is no problem
    tail_requests: int  # fewer have no p99 worth the name
    cold: float  # share of the requests that waited for a model


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
    serving: Serving | None  # None: no such rules
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
