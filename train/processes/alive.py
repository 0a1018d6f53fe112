"""Detects that another process is gone. Otherwise a process that waits for it would wait without end."""

import threading
import time
from collections.abc import Callable

from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.distributed_c10d import PrefixStore

from train import environment

BEAT = 2.0  # seconds
SILENCE = 30.0  # seconds without a report after which a process counts as gone


class Watch:
    """A thread that reports every 2 seconds that this process is alive, and calls `on_silence` when another process stops reporting."""

    def __init__(self, rank: int, size: int) -> None:
        self._rank, self._size = rank, size
        self._closed = threading.Event()
        self.on_silence: Callable[[str], None] = lambda message: None
        # A separate connection, since only one thread at a time may use a store.
        host, port = environment.MASTER_ADDR.read(), environment.MASTER_PORT.read()
        self._store = PrefixStore("alive", TCPStore(host, port, is_master=False))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._store.set(str(rank), "0")
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        seen = {rank: ("", time.monotonic()) for rank in range(self._size) if rank != self._rank}
        count = 0
        while not self._closed.wait(BEAT):
            count += 1
            try:
                self._store.set(str(self._rank), str(count))
                beats = {rank: self._store.get(str(rank)).decode() for rank in seen}
            except Exception as error:  # the store's errors have no special type
                if not self._closed.is_set():
                    self.on_silence(f"the chief host does not answer any more ({str(error).splitlines()[0][:120]})")
                return
            now = time.monotonic()
            for rank, beat in beats.items():
                if beat != seen[rank][0]:
                    seen[rank] = (beat, now)
                elif now - seen[rank][1] > SILENCE:
                    self.on_silence(f"process {rank} of {self._size} has been silent for {SILENCE:.0f} seconds")
                    return
