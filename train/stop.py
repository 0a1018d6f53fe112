"""SIGTERM: the platform's request to stop, which is followed by SIGKILL after 120 seconds.

The handler only sets a flag, and the loops check it after every step, so that they can keep their results. Without a handler, process 1 of
a container would ignore the signal.
"""

import signal
import subprocess
import time

STATUS = 143  # 128 + SIGTERM
INTERRUPTED = 130  # 128 + SIGINT


class Flag:
    """A flag that a signal's handler may set.

    Trap: threading.Event has a lock. If a handler interrupts another handler for the same signal, it would wait for this lock without end.
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
    """The job was stopped before there was a model; the message names the results that are kept."""


def install() -> None:
    """Set the flag on SIGTERM from now on."""
    requested.clear()
    signal.signal(signal.SIGTERM, lambda number, frame: requested.set())


def status_of(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a process's end and return its exit status, which is -N when signal N ended it.

    Trap: the kernel may give a signal to any thread, but Python runs handlers only in the main thread. Popen.wait() without a limit
    does not let it: 20 jobs got SIGSTOP, SIGTERM and then SIGCONT, and 12 of them did not end.
    """
    while (status := process.poll()) is None:
        time.sleep(0.1)
    return status
