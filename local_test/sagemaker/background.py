"""What goes on beside the requests: one thread for each running job or endpoint."""

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator


class Background:
    """The threads of jobs and endpoints, the places that jobs take turns at, and the word to end that all of them hear."""

    def __init__(self, places: int) -> None:
        self.ending = threading.Event()  # set when the emulator ends
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._places = self._free = places
        self._freed = threading.Condition()

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
        """Wait until this machine has room for a job of so many hosts; give False when the job was given up meanwhile.

        `waits` is called when it has to wait.

        AWS starts all jobs at once on machines of their own; a hundred at once would bring this one down.
        """
        taken = min(hosts, self._places)
        if self._free < taken:
            waits()
        with self._freed:
            while self._free < taken and not given_up():
                self._freed.wait(0.2)
            got = self._free >= taken and not given_up()
            self._free -= taken if got else 0
        try:
            yield got
        finally:
            with self._freed:
                self._free += taken if got else 0
                self._freed.notify_all()

    def end(self, seconds: float) -> None:
        """Tell all threads to end, and wait for them at most so long each."""
        self.ending.set()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(seconds)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            traceback.print_exc()  # a mistake of the emulator; its user must see it
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
