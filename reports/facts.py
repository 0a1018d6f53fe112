"""The facts about a training run, which the sources give to the rules and the page. None means "not recorded".

A number that the records hold as null was NaN or infinite when it was written; `Epoch.step_losses` keeps it as None.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reports.measured import Measured
from reports.photos.facts import Photos

Setting = str | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was run: the first record of a job."""

    program: str | None
    libraries: Mapping[str, str]
    hyperparameters: Mapping[str, Setting]
    classes: tuple[str, ...]
    photos: Mapping[str, int]  # by split
    notes: tuple[str, ...]
    processes: int | None
    started: float | None  # seconds since 1970
    # Photos by split, for each class in the order of `classes`.
    class_photos: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cores: int | None = None  # the chief's host has so many cores
    loaders: int | None = None  # threads or processes of the chief's host that load photos


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the training photos. Losses are mean cross entropies; accuracies and shares lie between 0 and 1."""

    stage: str
    number: int  # from 1 in each stage
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
    step_numbers: tuple[int, ...] = ()  # the steps of the losses; empty if every step was saved


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One configuration of a search or of a tuning run; `accuracy` and `loss` are those of validation."""

    number: int
    hyperparameters: Mapping[str, Setting]
    accuracy: float | None
    loss: float | None
    seconds: float | None
    reason: str  # why it failed, empty when it did not


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How well one class is recognised on one split; None where the share is undefined."""

    name: str
    count: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """The photos whose confidence, the probability of the predicted class, lies between `low` and `high`."""

    low: float
    high: float
    count: int
    hits: int  # photos that are predicted correctly
    confidence: float  # their mean


@dataclass(frozen=True, kw_only=True)
class Result:
    """How good the kept model is on one split."""

    split: str
    stage: str
    best_epoch: int | None
    count: int
    accuracy: float
    interval: tuple[float, float] | None  # 95 %, Wilson
    loss: float | None
    top5: float | None
    macro_f1: float | None
    ece: float | None
    temperature: float | None
    calibration: tuple[CalibrationBin, ...] = ()  # the bins that hold photos


@dataclass(frozen=True, kw_only=True)
class Split:
    """Everything that was measured on one split; `confusion` has truth by row and prediction by column."""

    name: str
    result: Result | None
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassScore, ...]


@dataclass(frozen=True, kw_only=True)
class LayerStatistics:
    """Statistics of one layer's gradients, updates or activations at one step; None for a number that was NaN or infinite.

    A statistic that is not recorded for a kind is None too.
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
    p5: float | None = None  # for gradients: percentiles
    p95: float | None = None
    weight_rms: float | None = None  # for updates only: the root mean square of the weights before the update
    weight_std: float | None = None
    # For activations that cut off values below 0: channels that are hardly ever above 0.
    share_dead: float | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """The records of one training job, or what could be read of them."""

    source: str  # the file that was read
    job: Job | None
    epochs: tuple[Epoch, ...]
    trials: tuple[Trial, ...]
    splits: tuple[Split, ...]
    layers: tuple[LayerStatistics, ...]
    unreadable: tuple[tuple[str, str], ...]  # photos that training left out, each with the reason
    part_seconds: Mapping[str, float]  # from the `done` record
    peak_memory_bytes: float | None
    finished: bool
    last_time: float | None  # the time of the last record, in seconds since 1970
    missing: tuple[str, ...]  # one sentence for each thing that is damaged, unknown or not there
    photos: Photos = Photos()  # noqa: RUF009 - frozen
    measured: Measured = field(default_factory=Measured)

    @property
    def best_trial(self) -> Trial | None:
        """The trial that training keeps: with lbfgs the one of lowest validation loss, in every other search the most accurate one."""
        done = [trial for trial in self.trials if trial.accuracy is not None]
        if self.job and self.job.hyperparameters.get("optimizer") == "lbfgs":
            return min(done, key=lambda trial: trial.loss or 0, default=None)
        return max(done, key=lambda trial: (trial.accuracy or 0, -(trial.loss or 0)), default=None)
