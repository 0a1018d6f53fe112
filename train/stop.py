"""SIGTERM: the platform's request to stop, followed by SIGKILL after 120 seconds.

The handler only raises a flag, which the loops look at after every step: what was done is then kept in good order. As
PID 1 a process without a handler would not even notice the signal.
"""

import signal
import threading

STATUS = 143  # 128 + SIGTERM
INTERRUPTED = 130  # 128 + SIGINT

requested = threading.Event()


class Stopped(Exception):
    """The job was stopped before there was a model; the text says what was kept."""


def install() -> None:
    """Raise the flag on SIGTERM from now on."""
    requested.clear()
    signal.signal(signal.SIGTERM, lambda number, frame: requested.set())
