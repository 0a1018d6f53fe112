"""A job's report, which brings together all places that a job writes its progress to."""

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train.config import metric_line
from train.report.board import Board
from train.report.hooks import Hook
from train.report.records import Records


@dataclass(kw_only=True)
class Report:
    """Writes a job's progress to records.jsonl, to TensorBoard and to the log; `hook` is the Debugger's, if there is one."""

    records: Records
    board: Board
    hook: Hook | None = None
    epochs: int = 0  # done so far, of both stages

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

    def close(self, seconds: Mapping[str, float]) -> None:
        """Record how many seconds each part of the job took, and close all files."""
        # ru_maxrss is in KiB on Linux.
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.records.write("done", seconds=seconds, peak_memory_bytes=peak)
        self.records.close()
        self.board.close()
        if self.hook:
            self.hook.close()
