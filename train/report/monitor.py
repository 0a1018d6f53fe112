"""Watches the steps of training: their times, statistics of their tensors, traces of a few steps, and the Debugger's hook."""

import contextlib
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from train.report.hooks import Hook
from train.report.steps import StepRecords
from train.report.tensors import TensorRecords, Watch
from train.report.trace import Tracer


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of a step in its job: `step` counts from 1 in the epoch, `number` from 0 in the stage."""

    stage: str
    epoch: int
    step: int
    number: int


@dataclass(kw_only=True)
class Monitor:
    """Receives everything that the training loop reports about its steps. A field that is None is not wanted."""

    steps: StepRecords | None = None
    tensors: TensorRecords | None = None
    tracer: Tracer | None = None
    hook: Hook | None = None
    tracing_seconds: float = 0.0  # seconds that starting, ending and writing traces has taken so far

    def watch(self, place: Place, model: nn.Module) -> Watch | None:
        """Return the object that records the statistics of this step's tensors, None if none are due.

        None are due in a traced step, because the trace would contain the operators that compute them.
        """
        if self.tracer and self.tracer.wants(place.epoch, place.step):
            return None
        if self.tensors is None or not self.tensors.due(place.number):
            return None
        return self.tensors.watch({"stage": place.stage, "epoch": place.epoch, "step": place.step}, model)

    @contextlib.contextmanager
    def traced(self, place: Place) -> Generator[None, None, None]:
        """Trace the block if this step is to be traced."""
        if self.tracer is None:
            yield
            return
        mark = time.perf_counter()
        with self.tracer.step(place.stage, place.epoch, place.step):
            self.tracing_seconds += time.perf_counter() - mark
            yield
            mark = time.perf_counter()
        self.tracing_seconds += time.perf_counter() - mark

    def losses(self, mode: str, losses: Mapping[str, Tensor | float]) -> None:
        """Give the Debugger's hook the losses of a step of the mode `train` or `validation`."""
        if self.hook:
            self.hook.step(mode, losses)
