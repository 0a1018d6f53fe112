"""SIGTERM: the platform's request to stop, which is followed by SIGKILL after 120 seconds.

The handler only sets a flag, and the loops look at it after every step, so that they can keep what was done. A process that is
process 1 of a container and has no handler would not even notice the signal.
"""

import signal

STATUS = 143  # 128 + SIGTERM
INTERRUPTED = 130  # 128 + SIGINT


class Flag:
    """A flag that a signal's handler may set.

    Trap: threading.Event has a lock. A handler that interrupts another one for the same signal would wait for it for ever.
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
    """The job was stopped before there was a model; the message says what was kept."""


def install() -> None:
    """Set the flag on SIGTERM from now on."""
    requested.clear()
    signal.signal(signal.SIGTERM, lambda number, frame: requested.set())
