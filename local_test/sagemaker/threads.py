"""Threads for requests. A thread serves many requests, because starting a thread for each took a tenth of a request's time."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

IDLE = 10.0  # seconds that a thread waits for the next request before it ends
Work = Callable[[], None]


class Threads:
    """Runs each request at once: in a waiting thread, or in a new thread if no thread waits."""

    def __init__(self) -> None:
        self._next: SimpleQueue[Work] = SimpleQueue()
        self._waiting = 0  # threads that have no request
        self._lock = threading.Lock()

    def run(self, work: Work) -> None:
        with self._lock:
            waits = self._waiting > 0
            self._waiting -= waits
        if waits:
            self._next.put(work)
        else:
            threading.Thread(target=self._serve, args=(work,), name="request", daemon=True).start()

    def _serve(self, work: Work) -> None:
        while True:
            work()
            with self._lock:
                self._waiting += 1
            try:
                work = self._next.get(timeout=IDLE)
            except Empty:
                with self._lock:
                    if self._waiting:  # if it is 0, run() counts on this thread for a request
                        self._waiting -= 1
                        return
                work = self._next.get()
