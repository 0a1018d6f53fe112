"""SIGTERM: the platform's request to stop, followed by SIGKILL after 120 seconds.

The handler only raises a flag, which the loops look at after every step: what was done is then kept in good order. As
PID 1 a process without a handler would not even notice the signal.
"""

import signal

STATUS = 143  # 128 + SIGTERM
INTERRUPTED = 130  # 128 + SIGINT


class Flag:
    """What a signal raises.

    Trap: an event of `threading` has a lock, for which a handler would wait for ever when it interrupts another for the same signal.
    """

    def __init__(self) -> None:
        self._raised = False

    def set(self) -> None:
        self._raised = True

    def clear(self) -> None:
        self._raised = False

    def is_set(self) -> bool:
        return self._raised


requested = Flag()


class Stopped(Exception):
    """The job was stopped before there was a model; the text says what was kept."""


def install() -> None:
    """Raise the flag on SIGTERM from now on."""
    requested.clear()
    signal.signal(signal.SIGTERM, lambda number, frame: requested.set())
