"""Threads beside those of the requests: one for each job or endpoint."""

import contextlib
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator


class Background:
    """Runs jobs and endpoints in threads, gives jobs their places on this machine, and tells all of them to end."""

    def __init__(self, places: int) -> None:
        self.ending = threading.Event()  # set when the emulator ends
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._places = self._free = places
        self._freed = threading.Condition()
        self._queue: deque[object] = deque()  # what waits for a place, in the order in which it came

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own."""
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
        """Wait until this machine has room for a job of so many hosts. Yield True then, or False when the job is given up before.

        `waits` is called when the job has to wait. Jobs get their places in the order in which they came here: otherwise jobs of
        one host could overtake a job of several for ever. AWS starts all jobs at once, on machines of their own; a hundred at
        once would bring this machine down.
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
        """Tell all threads to end, and wait at most so many seconds for each."""
        self.ending.set()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(seconds)

    def _has_room(self, turn: object, hosts: int) -> bool:
        """Return whether so many places are free, and nobody before this one waits for them."""
        return self._free >= hosts and self._queue[0] is turn

    def _leave(self, turn: object) -> None:
        """Take a job from the queue, since it has its place or was given up."""
        with self._freed:
            self._queue.remove(turn)
            self._freed.notify_all()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            traceback.print_exc()  # a mistake of the emulator; its user must see it
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
