"""Records of a GPU, tested on a processor: patched torch functions return a GPU's answers."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from train.loop.timing import Clocks, StepClock
from train.report import Records, StepRecords, open_sampler
from train.report.gpus import Gpus


class Event:
    """An event in the GPU's queue. The test decides when the GPU has passed it; consecutive events are 10 ms apart."""

    made = 0
    passed = 0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        Event.made += 1
        self.number = Event.made

    def record(self) -> None:
        pass

    def query(self) -> bool:
        return self.number <= Event.passed

    def elapsed_time(self, other: "Event") -> float:
        assert self.query() and other.query(), "the GPU has not passed the event yet, so reading the time would wait"
        return 10.0 * (other.number - self.number)


def steps(folder: Path) -> list[int]:
    lines = (folder / "records.jsonl").read_text().splitlines()
    return [step for line in lines for step in json.loads(line)["step"]]


def test_a_step_is_recorded_when_the_gpu_has_done_it_by_the_gpus_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    records = Records(tmp_path)
    times = StepRecords(records)
    clocks = Clocks("finetune", 1, times)
    for number in (1, 2, 3):
        clock = StepClock(torch.device("cuda", 0), wait=0.5, move=0.25)
        began, between, ended = clock.mark(), clock.mark(), clock.mark()
        clock.add("forward", began, between)
        clock.add("backward", between, ended)
        clock.add("optimizer", began, ended)
        clock.seconds = 0.75
        Event.passed = 3 * (number - 1)  # the GPU is one step behind
        clocks.add(number, clock)
    times.flush()
    assert steps(tmp_path) == [1, 2]
    clocks.close()
    assert steps(tmp_path) == [1, 2]  # steps that the GPU has not finished are left out, without waiting
    Event.passed = 9
    clocks.close()
    records.close()
    found = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert steps(tmp_path) == [1, 2, 3] and {one["clock"] for one in found} == {"gpu"}
    assert [found[0][name][0] for name in ("wait", "move", "forward", "backward", "optimizer", "seconds")] == [
        0.5,
        0.25,
        0.01,
        0.01,
        0.02,
        0.75,
    ]


def say(monkeypatch: pytest.MonkeyPatch, **answers: object) -> None:
    """Let torch answer as on a machine with two GPUs; this process uses the first."""
    held: dict[str, object] = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "current_device": lambda: 0,
        "get_device_properties": lambda number: SimpleNamespace(total_memory=16 * 10**9),
        "mem_get_info": lambda number: (12 * 10**9, 16 * 10**9),
        "utilization": lambda number: 80 + number,
        "memory_usage": lambda number: 40,
        "device_memory_used": lambda number: 5 * 10**9,
    }
    for name, answer in (held | answers).items():
        monkeypatch.setattr(torch.cuda, name, answer)


def test_the_use_of_all_gpus_and_their_memory_in_bytes_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch)
    sampler = open_sampler(tmp_path, "algo-1", 0.5)
    assert sampler is not None
    while not sampler._columns._rows:
        time.sleep(0.05)
    sampler.close()
    # A machine that is busy for over five seconds writes several records.
    one = json.loads((tmp_path / "system-algo-1.jsonl").read_text().splitlines()[0])
    assert one["gpu_memory_limit_bytes"] == [16e9, 16e9] and "gpus_missing" not in one
    assert (one["gpu0_percent"][0], one["gpu1_percent"][0]) == (80, 81)
    assert (one["gpu1_memory_activity_percent"][0], one["gpu1_memory_bytes"][0]) == (40, 5e9)


def test_without_nvml_the_memory_of_this_process_own_gpu_is_known_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(number: int) -> int:
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    say(monkeypatch, utilization=missing)
    gpus = Gpus()
    assert gpus.missing == "ModuleNotFoundError: nvidia-ml-py does not seem to be installed"
    own, other = gpus.read()
    assert (own.use, own.memory_bytes, other.memory_bytes) == (None, 4e9, None)


def test_a_gpu_that_is_lost_is_not_known_and_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch)
    gpus = Gpus()

    def lost(number: int) -> int:
        raise RuntimeError("GPU is lost")

    say(monkeypatch, memory_usage=lost)
    assert [(one.use, one.memory_bytes) for one in gpus.read()] == [(None, None)] * 2
