"""Traces a few steps with torch.profiler: the operators go into the records, the whole trace into a file beside them."""

import contextlib
import sys
from collections.abc import Collection, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from train.report.records import Records

if TYPE_CHECKING:
    from torch.autograd.profiler_util import EventList
    from torch.profiler import profile

OPERATORS = 40  # the number of slowest operators that are recorded; the trace holds all operators


class Tracer:
    """Traces the steps `chosen`, counted from 1, of the first epoch of each stage. Without a folder it traces none."""

    def __init__(self, records: Records, chosen: Collection[int], folder: Path | None) -> None:
        self._records, self._folder = records, folder
        self._chosen = frozenset(chosen) if folder else frozenset[int]()

    def wants(self, epoch: int, step: int) -> bool:
        """Return whether this step is to be traced."""
        return epoch == 1 and step in self._chosen

    @contextlib.contextmanager
    def step(self, stage: str, epoch: int, step: int) -> Generator[None, None, None]:
        """Trace the block if this step is a chosen one. An error of the profiler is printed in one line."""
        if not self.wants(epoch, step):
            yield
            return
        tracing = _started()
        try:
            yield
        finally:
            if tracing is not None:
                self._write(tracing, stage, step)

    def _write(self, tracing: "profile", stage: str, step: int) -> None:
        assert self._folder is not None
        path = self._folder / f"trace-{stage}-{step}.json.gz"
        try:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            tracing.stop()
            operators = _operators(tracing.key_averages())
            self._folder.mkdir(parents=True, exist_ok=True)
            tracing.export_chrome_trace(str(path))
        except Exception as error:  # the profiler's errors have no type of their own
            _say(error)
            return
        self._records.write("operators", stage=stage, epoch=1, step=step, trace=path.name, operators=operators)
        print(f"traced step {step} of {stage}: {path}", flush=True)


def _started() -> "profile | None":
    from torch.profiler import ProfilerActivity, profile

    try:
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
        # On a processor a step is computed on several threads.
        every: Any = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
        tracing = profile(activities=activities, experimental_config=every)
        tracing.start()
    except Exception as error:
        _say(error)
        return None
    return tracing


def _operators(averages: "EventList") -> list[dict[str, Any]]:
    """Return the operators that take most time, not counting the operators that they call."""
    rows = [
        {
            "name": row.key,
            "calls": row.count,
            "seconds": row.self_cpu_time_total / 1e6,
            "gpu_seconds": row.self_device_time_total / 1e6,
        }
        for row in averages
    ]
    return sorted(rows, key=lambda row: -max(row["gpu_seconds"], row["seconds"]))[:OPERATORS]


def _say(error: Exception) -> None:
    print(f"no trace: {type(error).__name__}: {' '.join(str(error).split())[:200]}", file=sys.stderr, flush=True)
