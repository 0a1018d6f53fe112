"""Records of the steps' times: one row per step, the sum of its parts within the step's time, and unchanged training results."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from classifier.errors import ConfigError
from tests.small_head import SGD, clouds
from train.config import Config
from train.head.stage import head_stage
from train.loop.engine import fit
from train.processes.world import World
from train.report import Monitor, Records, StepRecords, TensorRecords
from train.report.columns import ROWS, Columns
from train.report.steps import STEP

PARTS = [name for name in STEP if name != "seconds"]


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock. A record with a row that is five seconds old is written early, so a pause of the machine would split a record."""
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def trained(folder: Path | None, *, every: int = 0, lane: int = 0, **settings: Any) -> tuple[nn.Linear, list[float]]:
    """Train a small head and record its steps in `folder`; return the head and its steps' seconds."""
    torch.manual_seed(0)
    head, data, seconds = nn.Linear(4, 3), clouds(40), list[float]()
    stage = head_stage(head, data, data, Config(**SGD | settings), World())
    stage.lane = lane
    records = Records(folder)
    monitor = Monitor(steps=StepRecords(records), tensors=TensorRecords(records, every)) if folder else None
    try:
        fit(stage, lambda epoch, metrics: seconds.extend(metrics["step_seconds"]), monitor=monitor)
    finally:
        records.close()
    return head, seconds


@pytest.mark.usefixtures("no_time_passes")
@pytest.mark.parametrize("lane", [0, 3])
def test_each_step_has_a_row_whose_parts_fit_into_the_step(tmp_path: Path, lane: int) -> None:
    _, seconds = trained(tmp_path, lane=lane, batch_size=8, epochs=3)
    records = lines(tmp_path)
    assert [(one["kind"], one["stage"], one["epoch"], one["clock"]) for one in records] == [
        ("steps", "head", epoch, "processor") for epoch in (1, 2, 3)
    ]
    assert [one["step"] for one in records] == [[1, 2, 3, 4, 5]] * 3
    assert [value for one in records for value in one["seconds"]] == pytest.approx(seconds, abs=1e-6)
    for one in records:
        for place, whole in enumerate(one["seconds"]):
            parts = [one[name][place] for name in PARTS]
            assert min(parts) >= 0 and sum(parts) <= whole + 1e-5, parts
            assert one["forward"][place] > 0 and one["backward"][place] > 0 and one["optimizer"][place] > 0


@pytest.mark.usefixtures("no_time_passes")
def test_waiting_for_photos_and_the_rest_of_a_step_are_told_apart(tmp_path: Path) -> None:
    head, data = nn.Linear(4, 3), clouds(8)
    stage = head_stage(head, data, data, Config(**SGD, batch_size=4), World())
    plain = stage.batches

    def slow(epoch: int, steps: Any) -> Any:
        for batch in plain(epoch, steps):
            time.sleep(0.05)
            yield batch

    stage.batches = slow
    records = Records(tmp_path)
    fit(stage, lambda epoch, metrics: None, monitor=Monitor(steps=StepRecords(records)))
    records.close()
    (one,) = lines(tmp_path)
    assert min(one["wait"]) >= 0.05
    assert all(
        wait + forward <= whole
        for wait, forward, whole in zip(one["wait"], one["forward"], one["seconds"], strict=True)
    )


def test_what_is_recorded_changes_no_weight(tmp_path: Path) -> None:
    plain, _ = trained(None, batch_size=8, epochs=2)
    watched, _ = trained(tmp_path, every=1, batch_size=8, epochs=2)
    assert torch.equal(plain.weight, watched.weight) and torch.equal(plain.bias, watched.bias)


def test_steps_before_an_error_are_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no longer a number"):
        trained(tmp_path, batch_size=8, epochs=60, lr=9.9, momentum=0.999, weight_decay=1.0)
    assert sum(len(one["step"]) for one in lines(tmp_path)) > 20


@pytest.mark.usefixtures("no_time_passes")
def test_a_record_holds_a_thousand_rows_at_most(tmp_path: Path) -> None:
    records = Records(tmp_path)
    columns = Columns(records, "steps", ("step", "seconds"))
    for step in range(2 * ROWS + 1):
        columns.add([step, 0.5], {"stage": "head"})
    assert [len(one["step"]) for one in lines(tmp_path)] == [ROWS, ROWS]
    columns.flush()
    columns.flush()
    records.close()
    held = lines(tmp_path)
    assert [len(one["step"]) for one in held] == [ROWS, ROWS, 1]
    assert [step for one in held for step in one["step"]] == list(range(2 * ROWS + 1))


def test_rows_that_have_waited_long_enough_are_written_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    records = Records(tmp_path)
    columns = Columns(records, "steps", ("step",), seconds=0.05)
    columns.add([1], {})
    columns.add([2], {})
    assert lines(tmp_path) == []
    now[0] += 0.1
    columns.add([3], {})
    records.close()
    assert [one["step"] for one in lines(tmp_path)] == [[1, 2, 3]]


def test_rows_about_something_else_begin_a_record_and_a_number_is_short(tmp_path: Path) -> None:
    records = Records(tmp_path)
    columns = Columns(records, "batches", ("read",))
    columns.add([0.123456789], {"split": "train"})
    columns.add([None], {"split": "test"})
    columns.flush()
    records.close()
    assert [(one["split"], one["read"]) for one in lines(tmp_path)] == [("train", [0.123457]), ("test", [None])]
