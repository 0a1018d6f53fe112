"""The watch over the other processes: who is silent, and a chief that is gone."""

import queue
import time
from collections.abc import Iterator

import pytest
from torch.distributed import PrefixStore, TCPStore

from train import alive
from train.alive import Watch


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[TCPStore]:
    """The chief's store, in which process 1 has told once that it is alive."""
    chief = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    PrefixStore("alive", chief).set("1", "0")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(chief.port))
    monkeypatch.setattr(alive, "BEAT", 0.02)
    yield chief


def test_a_process_that_does_not_tell_any_more_counts_as_silent(
    store: TCPStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "SILENCE", 0.5)
    said = queue.Queue[str]()
    watch = Watch(0, 2)
    watch.on_silence = said.put
    assert said.get(timeout=30) == "process 1 of 2 has been silent for 0 seconds"
    watch.close()
    assert said.empty() and PrefixStore("alive", store).get("0") > b"0"


def test_a_process_that_tells_again_and_again_is_not_silent(store: TCPStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "SILENCE", 20.0)
    said = queue.Queue[str]()
    first, second = Watch(0, 2), Watch(1, 2)
    for watch in (first, second):
        watch.on_silence = said.put
    beats = PrefixStore("alive", store)
    end = time.monotonic() + 30
    while min(int(beats.get("0")), int(beats.get("1"))) < 30 and time.monotonic() < end:
        time.sleep(0.02)
    for watch in (first, second):
        watch.close()
    assert said.empty()
