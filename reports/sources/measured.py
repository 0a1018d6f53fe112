"""Reads the records of the measurements of training. They hold columns, not rows, because columns are read ten times as fast."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reports.measured import PARTS, Inputs, Measured, Operator, PassTimes, StepTimes, Trace
from reports.sources.values import LARGEST, Fields, number
from reports.system import Numbers, Series

KINDS = ("steps", "batches", "operators", "inputs")


def column(record: Fields, name: str) -> Numbers | None:
    """Return a list of times, bytes or shares; None if it is not a list of numbers. A null, negative or too large value becomes NaN."""
    items = record.items(name)
    try:
        values = np.array(items, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):  # a value is damaged
        values = np.array([np.nan if (found := number(item)) is None else found for item in items])
        if np.isnan(values).all():
            return None
    if values.ndim != 1:
        return None
    values[~((values >= 0) & (values <= LARGEST))] = np.nan
    return values


@dataclass
class Measurements:
    """Collects the records of one job."""

    _steps: dict[str, list[dict[str, Numbers]]] = field(default_factory=dict)  # columns of each record, by stage
    _clocks: dict[str, str] = field(default_factory=dict)  # clock by stage
    _passes: dict[tuple[str, str], PassTimes] = field(default_factory=dict)
    _traces: list[Trace] = field(default_factory=list)
    _inputs: list[Inputs] = field(default_factory=list)
    _pause: float | None = None
    _back: float = 0.0
    _last: float | None = None
    _signs: int = 0
    _first_work: float | None = None

    def sign(self, time: float | None) -> None:
        """Register the time at which a record of the job was written."""
        if time is not None:
            if self._last is not None:
                self._pause = max(self._pause or 0.0, time - self._last)
                self._back = max(self._back, self._last - time)
            self._last, self._signs = time, self._signs + 1

    @property
    def back(self) -> float:
        """The largest number of seconds by which a record is older than the record before it."""
        return self._back

    def take(self, kind: str, record: Fields) -> bool:
        """Add a record of one of KINDS; return False if it could not be used."""
        if self._first_work is None and kind in ("steps", "batches"):
            # A record is written after its steps or batches. To find when the work began, the seconds of steps are subtracted. Those of
            # batches are not, since batches run in parallel.
            seconds = column(record, "seconds") if kind == "steps" else None
            time = record.number("time")
            self._first_work = (
                None if time is None else time - (float(np.nansum(seconds)) if seconds is not None else 0.0)
            )
        match kind:
            case "steps":
                return self._take_steps(record)
            case "batches":
                return self._take_batches(record)
            case "operators":
                return self._take_operators(record)
        return self._take_inputs(record)

    def found(self, machines: Sequence[Series]) -> Measured:
        """Return all collected measurements together with the series of the machines."""
        return Measured(
            steps=tuple(self._joined(stage) for stage in self._steps),
            passes=tuple(self._passes.values()),
            traces=tuple(self._traces),
            inputs=tuple(self._inputs),
            machines=tuple(machines),
            longest_pause=self._pause,
            signs=self._signs,
            first_work=self._first_work,
        )

    def _take_steps(self, record: Fields) -> bool:
        names = ("step", "seconds", *PARTS)
        columns = {name: values for name in names if (values := column(record, name)) is not None and len(values)}
        epoch, stage = record.count("epoch"), record.text("stage")
        if not {"step", "seconds"} <= columns.keys() or epoch is None or not stage:
            return False
        count = len(columns["seconds"])
        if any(len(values) != count for values in columns.values()):
            return False
        columns["epoch"] = np.full(count, float(epoch))
        self._steps.setdefault(stage, []).append(columns)
        self._clocks[stage] = record.text("clock") or "processor"
        return True

    def _joined(self, stage: str) -> StepTimes:
        held = self._steps[stage]
        epochs, steps = (np.concatenate([one[name] for one in held]) for name in ("epoch", "step"))
        order = np.lexsort((steps, epochs))
        # After an interruption, steps may be recorded a second time: the last record of a step counts.
        again = (np.diff(epochs[order]) == 0) & (np.diff(steps[order]) == 0)
        order = order[np.append(~again, True)]

        def joined(name: str) -> Numbers:
            parts = [one.get(name, np.full(len(one["seconds"]), np.nan)) for one in held]
            values: Numbers = np.concatenate(parts)[order]
            return values

        return StepTimes(
            stage=stage,
            clock=self._clocks[stage],
            epochs=joined("epoch"),
            steps=joined("step"),
            parts={name: joined(name) for name in PARTS},
            seconds=joined("seconds"),
        )

    def _take_batches(self, record: Fields) -> bool:
        names = ("photos", "read", "move", "forward")
        columns = [values for name in names if (values := column(record, name)) is not None]
        stage, split = record.text("stage"), record.text("split")
        if (
            len(columns) < len(names)
            or len({len(values) for values in columns}) > 1
            or not len(columns[0])
            or not stage
        ):
            return False
        photos, read, move, forward = (float(np.nansum(values)) for values in columns)
        before = self._passes.get((stage, split))
        self._passes[stage, split] = PassTimes(
            stage=stage,
            split=split,
            batches=len(columns[0]) + (before.batches if before else 0),
            photos=int(photos) + (before.photos if before else 0),
            read=read + (before.read if before else 0.0),
            move=move + (before.move if before else 0.0),
            forward=forward + (before.forward if before else 0.0),
        )
        return True

    def _take_operators(self, record: Fields) -> bool:
        rows = [Fields(item) for item in record.items("operators") if isinstance(item, dict)]
        operators = tuple(
            Operator(
                name=row.text("name"),
                calls=row.count("calls") or 0,
                seconds=row.number("seconds") or 0.0,
                gpu_seconds=row.number("gpu_seconds") or 0.0,
            )
            for row in rows
            if row.text("name")
        )
        if not operators:
            return False
        step = record.count("step") or 0
        self._traces.append(
            Trace(stage=record.text("stage"), step=step, file=record.text("trace"), operators=operators)
        )
        return True

    def _take_inputs(self, record: Fields) -> bool:
        mean = tuple(found for item in record.items("mean") if (found := number(item)) is not None)
        std = tuple(found for item in record.items("std") if (found := number(item)) is not None)
        photos = record.count("photos")
        if not mean or len(mean) != len(std) or not photos:
            return False
        self._inputs.append(Inputs(split=record.text("split"), photos=photos, mean=mean, std=std))
        return True
