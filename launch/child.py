"""Programs that end when the driver ends, also when it is killed and can stop nothing any more."""

import os
import sys
from collections.abc import Sequence

_PYTHON = sys.executable
# Run by an interpreter that becomes the program, since preexec_fn may hang in a process that has threads, as tuning has.
# PR_SET_PDEATHSIG (1) sends SIGTERM, on which training keeps what was done. Who starts it may already be gone by then. Of
# Ctrl-C the interpreter would print a traceback.
_BECOME = (
    "import ctypes, os, signal as s, sys\n"
    "if s.getsignal(s.SIGINT) is s.default_int_handler: s.signal(s.SIGINT, s.SIG_DFL)\n"
    "ctypes.CDLL(None).prctl(1, s.SIGTERM)\n"
    "if os.getppid() == int(sys.argv[1]): os.execvp(sys.argv[2], sys.argv[2:])\n"
)


def ends_with_us(command: Sequence[str]) -> list[str]:
    """Return a command that runs `command`, in the same process, and gets SIGTERM when the thread that starts it ends."""
    return [_PYTHON, "-I", "-S", "-c", _BECOME, str(os.getpid()), *command]
