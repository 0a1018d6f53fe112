"""Turns the signals that end `byoc` into KeyboardInterrupt, so that the programs that it started are stopped too."""

import os
import signal
import sys
import threading
from types import FrameType

AGAIN = 0.05  # seconds until the signal of a lost interrupt is sent again


def catch() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt with their number, and make sure that no interrupt is lost."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # the driver was started under nohup, which ignores SIGHUP
            signal.signal(number, _stop)
    sys.unraisablehook = _not_raised


def cause(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt that was being handled when an error was raised; None if there was none.

    Trap: an interrupt inside threading's `with condition:` may leave the lock released; then the end of the block raises RuntimeError.
    """
    before = error.__context__
    while before:
        if isinstance(before, KeyboardInterrupt):
            return before
        before = before.__context__
    return None


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def _not_raised(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again if its interrupt came while a destructor or the callback of a weak reference ran.

    Trap: Python prints an exception in such code and continues. Imports run hundreds of such callbacks.
    """
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    number = unraisable.exc_value.args[0] if unraisable.exc_value.args else signal.SIGINT
    threading.Timer(AGAIN, os.kill, (os.getpid(), number)).start()
