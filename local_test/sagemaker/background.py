"""Threads for jobs and endpoints, beside the threads of the requests."""

import contextlib
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator


class Background:
    """Runs jobs and endpoints in threads, gives jobs their places on this machine, and ends all of them."""

    def __init__(self, places: int) -> None:
        self.ending = threading.Event()  # set when the emulator ends
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._places = self._free = places
        self._freed = threading.Condition()
        self._queue: deque[object] = deque()  # the jobs that wait for a place, in the order in which they came

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Run `work` in a new thread."""
        thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    @property
    def places(self) -> int:
        """Return how many hosts this machine has room for at a time."""
        return self._places

    @contextlib.contextmanager
    def place(self, hosts: int, given_up: Callable[[], bool], waits: Callable[[], None]) -> Iterator[bool]:
        """Wait until this machine has room for a job with `hosts` hosts, and yield True. Yield False if the job is given up before.

        `waits` is called when the job has to wait. Jobs get their places in the order in which they came; otherwise jobs of one
        host could overtake a job of several hosts for ever. AWS starts all jobs at once, each on its own machines; a hundred
        jobs at once would be too many for this machine.
        """
        taken, turn = min(hosts, self._places), object()
        with self._freed:
            self._queue.append(turn)
        try:
            if not self._has_room(turn, taken):
                waits()
            with self._freed:
                while not (self._has_room(turn, taken) or given_up()):
                    self._freed.wait(0.2)
                got = not given_up()
                self._free -= taken if got else 0
        finally:
            self._leave(turn)
        try:
            yield got
        finally:
            with self._freed:
                self._free += taken if got else 0
                self._freed.notify_all()

    def end(self, seconds: float) -> None:
        """Ask all threads to end, and wait at most `seconds` for all of them."""
        self.ending.set()
        until = time.monotonic() + seconds
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _has_room(self, turn: object, hosts: int) -> bool:
        """Return whether enough places are free, and no earlier job waits for them."""
        return self._free >= hosts and self._queue[0] is turn

    def _leave(self, turn: object) -> None:
        """Remove a job from the queue, because it has its place or was given up."""
        with self._freed:
            self._queue.remove(turn)
            self._freed.notify_all()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            traceback.print_exc()  # an error in the emulator itself, which its user must see
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
