"""The early end of a local job: by an error of one sentence, or by Ctrl-C or SIGTERM."""

import signal
import threading
import time
from collections.abc import Callable


class LocalModeError(Exception):
    """An error that the user can mend; the text is one sentence."""


class Stop(threading.Event):
    """An event that the first SIGINT or SIGTERM sets. It keeps the signal's number, and then calls `clean` again and again."""

    def __init__(self, clean: Callable[[], None]) -> None:
        super().__init__()
        self.clean, self.number = clean, 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        # Raise no exception: the SDK would ignore a KeyboardInterrupt and go on waiting. It ends when its containers are gone.
        if not self.number:
            self.number = number
            threading.Thread(target=self._clean_on, daemon=True).start()

    def _clean_on(self) -> None:
        # Trap: the code that the signal interrupted may hold the event's lock, for instance in `wait`. So a thread sets the event.
        self.set()
        while True:  # compose may be about to make another container
            self.clean()
            time.sleep(0.5)
