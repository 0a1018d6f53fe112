"""Records the time of each part of a step, and of each part of a batch of the feature pass."""

from dataclasses import dataclass, fields
from typing import NamedTuple

from train.report.columns import Columns
from train.report.records import Records


class StepTimes(NamedTuple):
    """The seconds of a step's parts. docs/records.md describes each part on a processor and on a GPU."""

    wait: float  # waiting for the photos
    move: float  # copying to the device
    forward: float
    backward: float
    exchange: float  # summing the gradients of the processes
    optimizer: float
    seconds: float  # the whole step


@dataclass(frozen=True, kw_only=True)
class BatchTimes:
    """The seconds of the parts of one batch of the feature pass, and its number of photos."""

    photos: int
    read: float  # reading and decoding
    move: float
    forward: float


STEP = StepTimes._fields
BATCH = tuple(field.name for field in fields(BatchTimes))


class StepRecords:
    """Writes the records `steps`, `batches` and `inputs`."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._steps = Columns(records, "steps", ("step", *STEP))
        self._batches = Columns(records, "batches", BATCH)

    def step(self, stage: str, epoch: int, clock: str, step: int, times: StepTimes) -> None:
        """Add a step, counted from 1 in its epoch; `clock` is processor or gpu."""
        self._steps.add((step, *times), {"stage": stage, "epoch": epoch, "clock": clock})

    def batch(self, stage: str, split: str, times: BatchTimes) -> None:
        """Add a batch of the stage `features` or `evaluation`."""
        self._batches.add([getattr(times, name) for name in BATCH], {"stage": stage, "split": split})

    def inputs(self, split: str, photos: int, mean: list[float], std: list[float]) -> None:
        """Record mean and standard deviation of each channel of some photos, as the network gets them."""
        self._records.write("inputs", split=split, photos=photos, mean=mean, std=std)

    def flush(self) -> None:
        """Write the rows that still wait for their record to be full."""
        self._steps.flush()
        self._batches.flush()
