"""How a local job ends before its time: with one sentence, or on Ctrl-C and SIGTERM."""

import signal
import threading
import time
from collections.abc import Callable


class LocalModeError(Exception):
    """Something that the user can mend; the text is one sentence."""


class Stop(threading.Event):
    """Set by SIGINT or SIGTERM, of which it keeps the first one's number; from then on `clean` is called until the program ends."""

    def __init__(self, clean: Callable[[], None]) -> None:
        super().__init__()
        self.clean, self.number = clean, 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)

    def _asked(self, number: int, frame: object) -> None:
        # No exception: the SDK swallows a KeyboardInterrupt and waits on. Without its containers it comes to an end.
        if not self.number:
            self.number = number
            threading.Thread(target=self._clean_on, daemon=True).start()

    def _clean_on(self) -> None:
        # Trap: an event has a lock, which what the signal interrupted may hold: `wait`, or this handler for the signal before.
        self.set()
        while True:  # compose may be about to make another
            self.clean()
            time.sleep(0.5)
