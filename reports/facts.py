"""The facts about a training run. reports.sources reads them; the rules and the page use them. None means "not recorded".

A number that the records hold as null was NaN or infinite when it was written; `Epoch.step_losses` keeps it as None.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reports.measured import Measured
from reports.photos.facts import Photos

Setting = str | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """The program, the settings and the data of a job, from its first record."""

    program: str | None
    libraries: Mapping[str, str]
    hyperparameters: Mapping[str, Setting]
    classes: tuple[str, ...]
    photos: Mapping[str, int]  # number of photos by split
    notes: tuple[str, ...]
    processes: int | None
    started: float | None  # seconds since 1970
    # Number of photos by split, for each class in the order of `classes`.
    class_photos: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cores: int | None = None  # number of cores of the chief's host
    loaders: int | None = None  # number of threads or processes on the chief's host that load photos


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the training photos. Losses are mean cross entropies; accuracies and shares are between 0 and 1."""

    stage: str
    number: int  # counted from 1 in each stage
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None
    seconds: float | None
    images_per_second: float | None
    data_wait_share: float | None
    step_losses: tuple[float | None, ...]
    step_seconds: tuple[float, ...]
    step_numbers: tuple[int, ...] = ()  # the number of the step of each loss; empty if every step was saved


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One configuration of a search or of a tuning run. `accuracy` and `loss` are measured on the validation split."""

    number: int
    hyperparameters: Mapping[str, Setting]
    accuracy: float | None
    loss: float | None
    seconds: float | None
    reason: str  # why the trial failed; empty if it did not fail


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How well one class is recognised on one split. A share is None if it is undefined (0 divided by 0)."""

    name: str
    count: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """The photos whose confidence, the probability of the predicted class, is between `low` and `high`."""

    low: float
    high: float
    count: int
    hits: int  # number of photos that are predicted correctly
    confidence: float  # mean confidence of the photos


@dataclass(frozen=True, kw_only=True)
class Result:
    """How good the kept model is on one split."""

    split: str
    stage: str
    best_epoch: int | None
    count: int
    accuracy: float
    interval: tuple[float, float] | None  # 95 % Wilson interval of the accuracy
    loss: float | None
    top5: float | None
    macro_f1: float | None
    ece: float | None
    temperature: float | None
    calibration: tuple[CalibrationBin, ...] = ()  # only bins with at least one photo


@dataclass(frozen=True, kw_only=True)
class Split:
    """All results on one split. `confusion` counts photos: a row is a true class, a column is a predicted class."""

    name: str
    result: Result | None
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassScore, ...]


@dataclass(frozen=True, kw_only=True)
class LayerStatistics:
    """Statistics of one layer's gradients, updates or activations at one step.

    A number is None if it was NaN or infinite, or if it is not recorded for this kind.
    """

    kind: str  # gradients, updates or activations
    layer: str
    step: int
    mean: float | None
    std: float | None
    share_zero: float | None
    stage: str = ""
    epoch: int = 0
    minimum: float | None = None
    maximum: float | None = None
    rms: float | None = None
    p5: float | None = None  # the 5th percentile; for gradients only
    p95: float | None = None  # the 95th percentile; for gradients only
    weight_rms: float | None = None  # root mean square of the weights before the update; for updates only
    weight_std: float | None = None
    # Share of the channels that are almost never above 0; only for activations that cut off values below 0.
    share_dead: float | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """The records of one training job, as far as they could be read."""

    source: str  # the path of the records file
    job: Job | None
    epochs: tuple[Epoch, ...]
    trials: tuple[Trial, ...]
    splits: tuple[Split, ...]
    layers: tuple[LayerStatistics, ...]
    unreadable: tuple[tuple[str, str], ...]  # pairs: the path of a photo that training left out, and the reason
    part_seconds: Mapping[str, float]  # seconds of each part of the job, from the `done` record
    peak_memory_bytes: float | None
    finished: bool
    last_time: float | None  # the time of the last record, in seconds since 1970
    missing: tuple[str, ...]  # one sentence for each record or file that is damaged, unknown or missing
    photos: Photos = Photos()  # noqa: RUF009 - frozen
    measured: Measured = field(default_factory=Measured)

    @property
    def best_trial(self) -> Trial | None:
        """The trial that training keeps: the one with the lowest validation loss for lbfgs, otherwise the most accurate one."""
        done = [trial for trial in self.trials if trial.accuracy is not None]
        if self.job and self.job.hyperparameters.get("optimizer") == "lbfgs":
            return min(done, key=lambda trial: trial.loss or 0, default=None)
        return max(done, key=lambda trial: (trial.accuracy or 0, -(trial.loss or 0)), default=None)
