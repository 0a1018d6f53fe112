"""Traces of chosen steps by torch.profiler: the operators in the records, the whole trace in a file that Perfetto opens."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from classifier.errors import ConfigError
from tests.small_head import SGD, clouds
from train.config import Config, parse
from train.head.stage import head_stage
from train.loop.engine import fit
from train.processes.world import World
from train.report import Monitor, Records, TensorRecords, Tracer


def traced(folder: Path, steps: tuple[int, ...], place: Path, *, lane: int = 0) -> nn.Linear:
    torch.manual_seed(0)
    head, data = nn.Linear(4, 3), clouds(40)
    stage = head_stage(head, data, data, Config(**SGD | {"epochs": 2}, batch_size=8), World())
    stage.lane = lane
    records = Records(folder)
    fit(stage, lambda epoch, metrics: None, monitor=Monitor(tracer=Tracer(records, steps, place)))
    records.close()
    return head


@pytest.mark.parametrize("lane", [0, 4])
def test_the_chosen_steps_of_the_first_epoch_are_traced_and_no_others(tmp_path: Path, lane: int) -> None:
    traced(tmp_path, (2, 4, 99), tmp_path / "traces", lane=lane)
    found = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [(one["kind"], one["stage"], one["epoch"], one["step"]) for one in found] == [
        ("operators", "head", 1, 2),
        ("operators", "head", 1, 4),
    ]
    assert sorted(path.name for path in (tmp_path / "traces").iterdir()) == [one["trace"] for one in found]
    for one in found:
        names = {row["name"]: row for row in one["operators"]}
        assert names["aten::addmm"]["calls"] == (2 if lane else 1)  # counts the calls of all threads
        assert names["aten::addmm"]["seconds"] > 0 and names["aten::addmm"]["gpu_seconds"] == 0
        whole = json.loads(gzip.decompress((tmp_path / "traces" / one["trace"]).read_bytes()))
        assert "aten::addmm" in {event.get("name") for event in whole["traceEvents"]}


def test_a_step_that_is_traced_is_not_watched_so_that_the_trace_holds_training_alone(tmp_path: Path) -> None:
    head, data = nn.Linear(4, 3), clouds(40)
    stage = head_stage(head, data, data, Config(**SGD, batch_size=8), World())
    records = Records(tmp_path)
    monitor = Monitor(tracer=Tracer(records, (2,), tmp_path), tensors=TensorRecords(records, 1))
    fit(stage, lambda epoch, metrics: None, monitor=monitor)
    records.close()
    found = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [one["step"] for one in found if one["kind"] == "gradients"] == [1, 3, 4, 5]
    (trace,) = [one for one in found if one["kind"] == "operators"]
    assert "aten::sort" not in {row["name"] for row in trace["operators"]}


def test_a_trace_changes_no_weight(tmp_path: Path) -> None:
    assert torch.equal(traced(tmp_path, (), tmp_path).weight, traced(tmp_path, (1, 2), tmp_path / "traces").weight)


def test_a_trace_that_cannot_be_written_costs_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    head = traced(tmp_path, (1,), tmp_path / "file" / "traces")
    assert torch.equal(head.weight, traced(tmp_path, (), tmp_path).weight)
    error = capsys.readouterr().err
    assert error.startswith("no trace: ") and error.count("\n") == 1


def test_five_steps_at_most_may_be_traced() -> None:
    assert parse({"trace-steps": "3,4,5"}).trace_steps == (3, 4, 5)
    with pytest.raises(ConfigError, match=r"trace-steps names 6 steps; name 5 at most"):
        parse({"trace-steps": "1,2,3,4,5,6"})
