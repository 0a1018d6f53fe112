"""The measurements that training took (docs/records.md): times of steps and passes, traces, statistics of inputs, use of machines."""

from collections.abc import Mapping
from dataclasses import dataclass

from reports.system import Numbers, Series

# The parts of a step, in the order in which they run, and their names on the page.
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
    """The times, in seconds, of the steps of one stage, in order. All arrays have the same length; NaN means "not known"."""

    stage: str
    clock: str  # processor or gpu: the clock that timed the forward and the backward pass
    epochs: Numbers
    steps: Numbers  # counted from 1 in each epoch
    parts: Mapping[str, Numbers]  # seconds of each part; the keys are those of PARTS
    seconds: Numbers


@dataclass(frozen=True, kw_only=True)
class PassTimes:
    """The times of one split's passes through the backbone. `read`, `move` and `forward` are seconds, summed over all lanes."""

    stage: str  # "features", or "evaluation" during fine-tuning
    split: str
    batches: int
    photos: int
    read: float
    move: float
    forward: float


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator in a traced step. The seconds do not include those of the operators that it calls."""

    name: str
    calls: int
    seconds: float
    gpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One step that torch.profiler traced. `file` is the file with the whole trace."""

    stage: str
    step: int
    file: str
    operators: tuple[Operator, ...]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Mean and standard deviation of each colour channel, over a sample of photos after preprocessing."""

    split: str
    photos: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All measurements of a run; empty for records of an older program, which did not measure."""

    steps: tuple[StepTimes, ...] = ()
    passes: tuple[PassTimes, ...] = ()
    traces: tuple[Trace, ...] = ()
    inputs: tuple[Inputs, ...] = ()
    machines: tuple[Series, ...] = ()
    longest_pause: float | None = None  # the longest time between two records of the job, in seconds
    signs: int = 0  # number of records of the job that have a time
    # Seconds since 1970 when the first step or batch of photos began, or a few seconds after that.
    first_work: float | None = None
