"""The feed of batches to the model: the time that counts as waiting, and the order of a GPU's copies."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.small_head import clouds
from train.config import Config
from train.head.stage import head_stage
from train.loop import feed
from train.loop.engine import fit
from train.loop.stage import Batch, State
from train.processes.world import World


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class SlowToCopy(torch.Tensor):
    """A tensor whose copy to the device advances the clock by ten seconds."""

    clock: Clock

    def to(self, *arguments: Any, **options: Any) -> Any:
        self.clock.now += 10
        return self.as_subclass(torch.Tensor)


def test_only_the_hosts_wait_for_a_batch_counts_as_waiting_for_data(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("train.loop.engine.time", clock)
    monkeypatch.setattr(feed, "time", clock)
    monkeypatch.setattr(SlowToCopy, "clock", clock, raising=False)
    data = clouds()
    stage = head_stage(torch.nn.Linear(4, 3), data, data, Config(epochs=1, batch_size=4), World())

    def batches(epoch: int, steps: Any) -> Iterator[Batch]:
        for step in steps:
            clock.now += 5  # workers take 5 s to make the batch
            yield data.features[step].as_subclass(SlowToCopy), data.labels[step]

    stage.batches = batches  # type: ignore[assignment]
    metrics: list[Any] = []
    fit(stage, lambda epoch, found: metrics.append(found))
    # Each of the two steps takes 5 s of waiting and 10 s of copying.
    assert metrics[0]["step_seconds"] == [15, 15] and metrics[0]["data_wait_share"] == pytest.approx(1 / 3)


class Gpu:
    """Replaces torch.cuda and records the order of the calls."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.stream_now = "main"

    def Stream(self, device: torch.device) -> "Gpu":
        return self

    @contextlib.contextmanager
    def stream(self, side: "Gpu") -> Iterator[None]:
        self.stream_now = "side"
        yield
        self.stream_now = "main"

    def record_event(self) -> str:
        return f"copy {self.log[-1].split()[1]}"

    def current_stream(self, device: torch.device) -> "Gpu":
        return self

    def wait_event(self, event: str) -> None:
        self.log.append(f"wait for {event} on {self.stream_now}")


class Part:
    """Replaces a tensor of one batch."""

    def __init__(self, gpu: Gpu, number: int, place: str = "pageable") -> None:
        self.gpu, self.number, self.place = gpu, number, place

    def pin_memory(self) -> "Part":
        return Part(self.gpu, self.number, "pinned")

    def to(self, device: torch.device, non_blocking: bool = False) -> "Part":
        how = "" if non_blocking else ", blocking"
        self.gpu.log.append(f"copy {self.number} from {self.place} memory on {self.gpu.stream_now}{how}")
        return Part(self.gpu, self.number, device.type)

    def record_stream(self, stream: Gpu) -> None:
        self.gpu.log.append(f"hold {self.number}")


def test_a_gpu_copies_the_next_batch_on_a_stream_of_its_own_before_it_computes_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = Gpu()
    monkeypatch.setattr(torch, "cuda", gpu)

    def loaded() -> Iterator[Any]:
        for number in range(3):
            gpu.log.append(f"load {number}")
            yield Part(gpu, number), Part(gpu, number)

    for pixels, _ in feed.fed(loaded(), torch.device("cuda"), State()):
        assert isinstance(pixels, Part) and pixels.place == "cuda"
        gpu.log.append(f"compute {pixels.number}")

    def copy(number: int) -> list[str]:
        return [f"load {number}", *[f"copy {number} from pinned memory on side"] * 2]

    def compute(number: int) -> list[str]:
        return [f"wait for copy {number} on main", *[f"hold {number}"] * 2, f"compute {number}"]

    assert gpu.log == [*copy(0), *copy(1), *compute(0), *copy(2), *compute(1), *compute(2)]
