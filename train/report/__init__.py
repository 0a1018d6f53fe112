"""What a job says of itself while it runs: records, metric lines, TensorBoard's event files and the Debugger's tensors."""

from train.report.board import Board
from train.report.hooks import Hook, open_hook
from train.report.records import Records
from train.report.report import Report

__all__ = ["Board", "Hook", "Records", "Report", "open_hook"]
