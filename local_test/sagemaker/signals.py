"""The signals that end the emulator."""

import os
import select
import signal
import subprocess
import threading
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
        # another signal. A byte in a pipe needs no lock.
        self._noted, self._note = os.pipe()
        os.set_blocking(self._note, False)
        # Trap: the kernel may give a signal to any thread, but Python runs handlers only in the main thread, which would go on
        # waiting. Of 20 processes that SIGSTOP stopped, SIGCONT continued and SIGINT was to end at once, 12 went on waiting.
        # With this, Python writes the byte in the thread that got the signal, and the byte ends the main thread's wait.
        signal.set_wakeup_fd(self._note, warn_on_full_buffer=False)
        for number in ENDS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._end)

    def wait(self) -> int:
        """Wait until a signal has come, and return the number of the first."""
        while not self.first:
            # Nobody reads the byte, so it cannot be lost before the handler has run.
            select.select([self._noted], [], [])
        return self.first

    def wait_for(self, command: "subprocess.Popen[bytes]") -> int:
        """Return the exit status of a command once it has ended, as a shell does."""
        self._command = command
        if self.first:
            command.send_signal(self.first)
        threading.Thread(target=self._note_end, args=(command,), name="command", daemon=True).start()
        while command.returncode is None:
            select.select([self._noted], [], [])
            os.read(self._noted, 64)  # the handler of a signal runs before the next wait
        status = command.returncode
        return status if status >= 0 else 128 - status

    def _note_end(self, command: "subprocess.Popen[bytes]") -> None:
        command.wait()
        os.write(self._note, b"\0")

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.first = self.first or number
        # Ctrl-C in a terminal reaches the command directly. The command may continue, as a shell or a notebook does.
        if self._command and number != signal.SIGINT:
            self._command.send_signal(number)
