"""Writes a job's progress: records, metric lines, TensorBoard's event files and the Debugger's tensors."""

from train.report.board import Board
from train.report.hooks import Hook, open_hook
from train.report.monitor import Monitor, Place
from train.report.records import Records
from train.report.report import Report
from train.report.steps import BatchTimes, StepRecords, StepTimes
from train.report.system import Sampler, open_sampler
from train.report.tensors import TensorRecords, Watch
from train.report.trace import Tracer

__all__ = [
    "BatchTimes",
    "Board",
    "Hook",
    "Monitor",
    "Place",
    "Records",
    "Report",
    "Sampler",
    "StepRecords",
    "StepTimes",
    "TensorRecords",
    "Tracer",
    "Watch",
    "open_hook",
    "open_sampler",
]
