"""The signals that end `byoc`: each is a KeyboardInterrupt, so that the programs that it started are stopped too."""

import os
import signal
import sys
import threading
from types import FrameType

AGAIN = 0.05  # seconds


def catch() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt with their number, and let no interrupt get lost."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _stop)
    sys.unraisablehook = _not_raised


def cause(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt during whose handling an error was raised, None where there was none.

    Trap: an interrupt inside `with condition:` of threading leaves a lock released, and the block's end raises RuntimeError.
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
    """Send a signal once more whose interrupt came while a destructor or a weak reference's callback ran.

    Trap: Python prints such an exception and goes on. Imports run such callbacks by the hundred.
    """
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    number = unraisable.exc_value.args[0] if unraisable.exc_value.args else signal.SIGINT
    threading.Timer(AGAIN, os.kill, (os.getpid(), number)).start()
