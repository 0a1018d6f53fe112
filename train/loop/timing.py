"""Measures when the parts of a step began and ended: by the processor's clock, or on a GPU by the GPU's own clock.

A GPU computes some time after the program has queued its work, so the processor's clock would only show when the work was queued.
Therefore events are put between the kernels, and read once the GPU has passed them. Nothing waits for that.
"""

import time
from collections import deque

import torch

from train.report import StepRecords, StepTimes

Mark = float | torch.cuda.Event


class StepClock:
    """Measures the times of one step's parts. Several threads may compute parts of the step at once."""

    def __init__(self, device: torch.device, wait: float, move: float) -> None:
        self.name = "gpu" if device.type == "cuda" else "processor"
        self.seconds = 0.0  # seconds of the whole step; the loop sets them
        self._wait, self._move = wait, move
        self._spans: list[tuple[str, Mark, Mark]] = []
        self._last: Mark | None = None
        self._together: tuple[Mark, Mark] | None = None

    def mark(self) -> Mark:
        """Return the present moment; on a GPU, the moment at which the work queued so far will be done."""
        if self.name == "processor":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def add(self, part: str, first: Mark, last: Mark) -> None:
        """Add the time between two moments to a part of the step."""
        self._spans.append((part, first, last))  # append is safe in several threads
        self._last = last

    def side_by_side(self, first: Mark, last: Mark) -> None:
        """Record that several threads computed the parts forward and backward at once between these two moments."""
        self._together = first, last

    def done(self) -> bool:
        """Return whether all moments of the step have passed."""
        return not isinstance(self._last, torch.cuda.Event) or bool(self._last.query())  # type: ignore[no-untyped-call]

    def times(self) -> StepTimes:
        """Return the seconds of each part; the step must be done."""
        found = dict.fromkeys(("forward", "backward", "exchange", "optimizer"), 0.0)
        for part, first, last in self._spans:
            found[part] += _between(first, last)
        if self._together:
            # The threads' times overlap: together they took less than their sum.
            computed = found["forward"] + found["backward"]
            share = _between(*self._together) / computed if computed else 0.0
            found |= {part: share * found[part] for part in ("forward", "backward")}
        return StepTimes(wait=self._wait, move=self._move, seconds=self.seconds, **found)


class Clocks:
    """Records the times of an epoch's steps as soon as they are done: on a GPU that is some steps later."""

    def __init__(self, stage: str, epoch: int, records: StepRecords | None) -> None:
        self._stage, self._epoch, self._records = stage, epoch, records
        self._waiting: deque[tuple[int, StepClock]] = deque()

    def add(self, step: int, clock: StepClock) -> None:
        """Add the times of a step; steps count from 1."""
        if self._records:
            self._waiting.append((step, clock))
            self._record_done(self._records)

    def close(self) -> None:
        """Record the steps that are done; call this at the end of the epoch."""
        if self._records:
            self._record_done(self._records)
            self._records.flush()

    def _record_done(self, records: StepRecords) -> None:
        while self._waiting and self._waiting[0][1].done():
            step, clock = self._waiting.popleft()
            records.step(self._stage, self._epoch, clock.name, step, clock.times())


def _between(first: Mark, last: Mark) -> float:
    """Return the seconds between two moments of the same clock."""
    if isinstance(first, torch.cuda.Event) and isinstance(last, torch.cuda.Event):
        return float(first.elapsed_time(last)) / 1000
    assert isinstance(first, float) and isinstance(last, float)
    return last - first
