"""The watch over a job's other processes: it reports a silent process and a chief that does not answer."""

import queue
import threading
from collections.abc import Iterator

import pytest
from torch import distributed
from torch.distributed import HashStore, TCPStore  # type: ignore[attr-defined]
from torch.distributed.distributed_c10d import PrefixStore

from tests.server import until
from train.processes import alive, leave
from train.processes.alive import Watch
from train.processes.world import World


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[TCPStore]:
    """The chief's store, in which process 1 has reported once that it is alive."""
    chief = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    PrefixStore("alive", chief).set("1", "0")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(chief.port))
    monkeypatch.setattr(alive, "BEAT", 0.02)
    yield chief


def test_a_process_counts_as_silent_when_it_has_reported_nothing_for_more_than_thirty_seconds(
    store: TCPStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, said = [1000.0], queue.Queue[str]()
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    beats = PrefixStore("alive", store)
    watch = Watch(0, 2)
    watch.on_silence = said.put

    def looked() -> None:
        """Wait until the watch has read the reports so far."""
        before = int(beats.get("0"))
        while int(beats.get("0")) < before + 2 and said.empty():
            threading.Event().wait(0.01)

    for number in range(5):
        beats.set("1", str(number))
        looked()
        now[0] += 20
    beats.set("1", "the last")
    looked()
    now[0] += 30
    looked()
    assert said.empty()
    now[0] += 0.5
    assert said.get(timeout=120) == "process 1 of 2 has been silent for 30 seconds"
    watch.close()
    assert said.empty()


class Gone:
    """Replaces torch's store and behaves as if the chief were gone."""

    def __init__(self, watch: Watch, *, closing: bool) -> None:
        self._watch, self._closing = watch, closing

    def set(self, *_: str) -> None:
        if self._closing:
            self._watch._closed.set()
        raise RuntimeError(f"{'x' * 121}\nC++ frames")


def test_a_chief_that_does_not_answer_is_reported_in_a_short_line_unless_the_watch_has_ended(store: TCPStore) -> None:
    for closing in (True, False):
        watch, said = Watch(0, 2), list[str]()
        watch.close()
        watch._closed.clear()
        watch.on_silence = said.append
        watch._store = Gone(watch, closing=closing)  # type: ignore[assignment]
        watch._run()
        assert said == ([] if closing else [f"the chief host does not answer any more ({'x' * 120})"])


def test_a_process_that_is_done_says_that_it_is_alive_until_the_others_are_done(
    store: TCPStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = PrefixStore("alive", store)
    before: list[int] = []

    def others(world: World) -> None:
        """Wait for processes that take longer than this one."""
        before.append(int(beats.get("0")))
        until("two more reports", lambda: int(beats.get("0")) >= before[0] + 2)

    monkeypatch.setattr(World, "barrier", others)
    distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    watch = Watch(0, 2)
    leave(World(0, 2), watch)
    assert before and not watch._thread.is_alive() and not distributed.is_initialized()
