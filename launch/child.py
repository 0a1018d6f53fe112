"""Starts programs that end when the driver ends, even when the driver is killed and cannot stop them itself."""

import os
import sys
from collections.abc import Sequence

_PYTHON = sys.executable
# A small interpreter runs this code and then becomes the program. subprocess's preexec_fn could do the same, but it may hang in a process
# with threads, as tuning has. The lines do this, in order: let Ctrl-C end the interpreter without a traceback; ask Linux to send SIGTERM
# when the parent ends (PR_SET_PDEATHSIG is 1), because training then saves its state; become the program, unless the parent has already
# ended.
_BECOME = (
    "import ctypes, os, signal as s, sys\n"
    "if s.getsignal(s.SIGINT) is s.default_int_handler: s.signal(s.SIGINT, s.SIG_DFL)\n"
    "ctypes.CDLL(None).prctl(1, s.SIGTERM)\n"
    "if os.getppid() == int(sys.argv[1]): os.execvp(sys.argv[2], sys.argv[2:])\n"
)


def ends_with_us(command: Sequence[str]) -> list[str]:
    """Return a command that becomes `command`. It gets SIGTERM when the thread that started it ends."""
    return [_PYTHON, "-I", "-S", "-c", _BECOME, str(os.getpid()), *command]
