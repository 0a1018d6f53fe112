"""The signals that end the emulator."""

import os
import select
import signal
import subprocess
from types import FrameType

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Notes the first signal that ends the emulator, and passes signals on to the emulator's command. `first` is the number of
    that signal, or 0 before it.
    """

    def __init__(self) -> None:
        self.first = 0
        self._command: subprocess.Popen[bytes] | None = None
        # Trap: a threading.Event has a lock. The code that the signal interrupts may hold it: the wait, or this handler for
        # another signal. A byte in a pipe needs no lock; nobody reads it, so that the pipe stays ready.
        self._noted, self._note = os.pipe()
        os.set_blocking(self._note, False)
        for number in ENDS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._end)

    def wait(self) -> int:
        """Wait until a signal has come, and return the number of the first."""
        select.select([self._noted], [], [])
        return self.first

    def wait_for(self, command: "subprocess.Popen[bytes]") -> int:
        """Return the exit status of a command once it has ended, as a shell does."""
        self._command = command
        if self.first:
            command.send_signal(self.first)
        status = command.wait()
        return status if status >= 0 else 128 - status

    def _end(self, number: int, frame: FrameType | None) -> None:
        if not self.first:
            self.first = number
            os.write(self._note, b"\0")
        # Ctrl-C in a terminal reaches the command directly. The command may continue, as a shell or a notebook does.
        if self._command and number != signal.SIGINT:
            self._command.send_signal(number)
