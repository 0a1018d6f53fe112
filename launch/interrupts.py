"""Turns the signals that end `byoc` into KeyboardInterrupt, so that the programs that it started are stopped too."""

import functools
import os
import signal
import sys
import threading
from types import FrameType

AGAIN = 0.05  # seconds until the signal of a lost interrupt is sent again
# The signal that interrupts the main thread's wait. It does nothing else, and a program without a handler for it ignores it.
WAKE = signal.SIGURG


def catch() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt with their number, and make sure that no interrupt is lost."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # the driver was started under nohup, which ignores SIGHUP
            signal.signal(number, _stop)
    sys.unraisablehook = _not_raised
    _wake_main_thread()


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


@functools.cache
def _wake_main_thread() -> None:
    """Let every signal end a wait of the main thread, whichever thread the signal came to.

    Trap: the kernel may give a signal to any thread, but Python runs handlers only in the main thread, which would go on waiting for a
    program, a lock or a sleep. 20 tuners got SIGSTOP, and then SIGCONT and SIGTERM at once: 17 of them went on waiting.
    Python writes a signal's number to the pipe in the thread that got the signal.
    """
    noted, note = os.pipe()
    os.set_blocking(note, False)
    signal.set_wakeup_fd(note, warn_on_full_buffer=False)
    signal.signal(WAKE, lambda number, frame: None)
    main = threading.get_ident()

    def wake() -> None:
        while True:
            if os.read(noted, 1) != bytes([WAKE]):
                signal.pthread_kill(main, WAKE)

    threading.Thread(target=wake, name="interrupts", daemon=True).start()


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
