"""The signals that end the emulator."""

import signal
import subprocess
import threading
from types import FrameType

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Notes the first signal that is to end the emulator, and passes it on to the command that it runs."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.first = 0
        self._command: subprocess.Popen[bytes] | None = None
        for number in ENDS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._end)

    def wait_for(self, command: "subprocess.Popen[bytes]") -> int:
        """Return the exit status of a command once it has ended, as a shell does."""
        self._command = command
        if self.ended.is_set():
            command.send_signal(self.first)
        status = command.wait()
        return status if status >= 0 else 128 - status

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.first = self.first or number
        self.ended.set()
        # A terminal's Ctrl-C reaches the command by itself, and it may go on, as a shell or a notebook does.
        if self._command and number != signal.SIGINT:
            self._command.send_signal(number)
