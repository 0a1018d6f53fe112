"""A job's report: all outputs to which a job writes its progress."""

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train.config import metric_line
from train.report.board import Board
from train.report.monitor import Monitor
from train.report.records import Records
from train.report.system import Sampler


@dataclass(kw_only=True)
class Report:
    """Writes a job's progress to its records, to TensorBoard and to the log."""

    records: Records
    board: Board
    monitor: Monitor
    sampler: Sampler | None = None  # the sampler of this host
    epochs: int = 0  # how many epochs are done, in both stages

    def epoch(self, stage: str, epoch: int, metrics: Mapping[str, Any], *, again: bool = False) -> None:
        """Record an epoch and print its metric line.

        `again` marks an epoch that was done before an interruption: its line was printed then.
        """
        self.epochs += 1
        values = {name.replace(":", "_"): value for name, value in metrics.items()}
        self.records.write("epoch", stage=stage, epoch=epoch, **values)
        self.board.epoch(stage, epoch, metrics)
        if not again:
            print(metric_line(self.epochs, metrics), flush=True)

    def stop(self) -> None:
        """Write the rows that wait for their record to be full, and stop measuring; called at every end of a job."""
        if self.monitor.steps:
            self.monitor.steps.flush()
        if self.sampler:
            self.sampler.close()
            self.sampler = None

    def close(self, seconds: Mapping[str, float]) -> None:
        """Record how many seconds each part of the job took, and close all files."""
        self.stop()
        # ru_maxrss is in KiB on Linux.
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.records.write("done", seconds=seconds, peak_memory_bytes=peak)
        self.records.close()
        self.board.close()
        if self.monitor.hook:
            self.monitor.hook.close()
