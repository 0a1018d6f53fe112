"""The log of one of our training jobs as a run: its metric lines and its results. It holds less than the records do."""

import dataclasses
from collections.abc import Sequence

from launch.aws.jobs.events import Line
from launch.aws.jobs.results import RESULT
from launch.aws.jobs.screen import read_metrics
from reports.facts import Epoch, Result, Run, Split

STAGE = "training"  # one stage for all epochs, because a metric line counts the epochs of both stages together
LESS = (
    "The records of the job are not here: epochs and results come from its log, without steps, classes and confusions."
)


def log_run(name: str, lines: Sequence[Line], *, ended: bool) -> Run | None:
    """Return the run that the log of a job describes; None if the log holds no metric line and no result."""
    epochs = dict[int, Epoch]()
    results = dict[str, Split]()
    for line in lines:
        if found := read_metrics(line.text):
            epoch = _epoch(found)
            epochs[epoch.number] = epoch  # an interrupted job prints some epochs twice
        elif match := RESULT.fullmatch(line.text.strip()):
            split, accuracy, low, high, count = match.groups()
            results[split] = _split(split, float(accuracy), (float(low), float(high)), int(count))
    if not epochs and not results:
        return None
    return dataclasses.replace(
        empty_run(f"the log of {name}", ended=ended),
        epochs=tuple(epochs[number] for number in sorted(epochs)),
        splits=tuple(results.values()),
        last_time=lines[-1].time,
        missing=(LESS,),
    )


def empty_run(source: str, *, ended: bool) -> Run:
    """Return a run without any records."""
    return Run(
        source=source,
        job=None,
        epochs=(),
        trials=(),
        splits=(),
        layers=(),
        unreadable=(),
        part_seconds={},
        peak_memory_bytes=None,
        finished=ended,
        last_time=None,
        missing=(),
    )


def _epoch(found: dict[str, float]) -> Epoch:
    return Epoch(
        stage=STAGE,
        number=int(found["epoch"]),
        train_loss=found.get("train:loss"),
        train_accuracy=found.get("train:accuracy"),
        validation_loss=found.get("validation:loss"),
        validation_accuracy=found.get("validation:accuracy"),
        learning_rate=found.get("learning_rate"),
        seconds=found.get("epoch:seconds"),
        images_per_second=found.get("images_per_second"),
        data_wait_share=None,
        step_losses=(),
        step_seconds=(),
    )


def _split(name: str, accuracy: float, interval: tuple[float, float], count: int) -> Split:
    result = Result(
        split=name,
        stage=STAGE,
        best_epoch=None,
        count=count,
        accuracy=accuracy,
        interval=interval,
        loss=None,
        top5=None,
        macro_f1=None,
        ece=None,
        temperature=None,
    )
    return Split(name=name, result=result, confusion=(), classes=())
