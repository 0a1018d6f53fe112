"""How a local job ends before its time: with one sentence, or on Ctrl-C and SIGTERM."""

import signal
import threading
import time
from collections.abc import Callable


class LocalModeError(Exception):
    """Something that the user can mend; the text is one sentence."""


class Stop(threading.Event):
    """Is set by the first SIGINT or SIGTERM, whose number it keeps. From then on it calls `clean` until the program ends."""

    def __init__(self, clean: Callable[[], None]) -> None:
        super().__init__()
        self.clean, self.number = clean, 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        # No exception: the SDK swallows a KeyboardInterrupt and waits on. It ends once its containers are gone.
        if not self.number:
            self.number = number
            threading.Thread(target=self._clean_on, daemon=True).start()

    def _clean_on(self) -> None:
        # Trap: an event has a lock. The code that the signal interrupted may hold it: `wait`, or this handler for another signal.
        # So a thread sets the event.
        self.set()
        while True:  # compose may be about to make another container
            self.clean()
            time.sleep(0.5)
