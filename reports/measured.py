"""The measurements that training made while it ran (docs/records.md): steps, passes of photos, inputs of the network, machines."""

from collections.abc import Mapping
from dataclasses import dataclass

from reports.system import Numbers, Series

# The parts of a step, in their order, with their names on the page.
PARTS = {
    "wait": "waiting for photos",
    "move": "moving to the device",
    "forward": "forward",
    "backward": "backward",
    "exchange": "exchanging gradients",
    "optimizer": "optimizer",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class StepTimes:
    """The steps of one stage in their order. All arrays have the same length; NaN means "not known". Times are in seconds."""

    stage: str
    clock: str  # processor or gpu: whose clock timed the forward and the backward pass
    epochs: Numbers
    steps: Numbers  # from 1 in each epoch
    parts: Mapping[str, Numbers]  # seconds by part, with the names of PARTS
    seconds: Numbers


@dataclass(frozen=True, kw_only=True)
class PassTimes:
    """The passes of one split through the backbone; the seconds are the sum over all lanes."""

    stage: str  # features, or evaluation in the course of fine-tuning
    split: str
    batches: int
    photos: int
    read: float
    move: float
    forward: float


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator in a traced step: its own seconds, without those of the operators that it calls."""

    name: str
    calls: int
    seconds: float
    gpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One step that torch.profiler traced; `file` holds all of it."""

    stage: str
    step: int
    file: str
    operators: tuple[Operator, ...]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Mean and standard deviation of each channel of some photos, as the network gets them."""

    split: str
    photos: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All measurements of a run; empty if the records are older than these measurements."""

    steps: tuple[StepTimes, ...] = ()
    passes: tuple[PassTimes, ...] = ()
    traces: tuple[Trace, ...] = ()
    inputs: tuple[Inputs, ...] = ()
    machines: tuple[Series, ...] = ()
    longest_pause: float | None = None  # seconds between two records of the job
    signs: int = 0  # how many records of the job have a time
    # Seconds since 1970 when the first step or batch of photos began, or a few seconds after that.
    first_work: float | None = None
