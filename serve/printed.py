"""What a model's own code prints, in a form that the model server can read.

The model server reads a worker's output line by line, and the worker waits until it has read it. Two kinds of lines would stop the
worker, so they are changed:

- A long line. The time to read one grows with the square of its length: a script that prints the body of a request would take seconds
  for a photo of 300 kB, and a minute for one of 1 MB.
- A line that begins as the model server's own messages do. After a [PID] without a number it reads nothing more.
"""

import functools
import io
import sys
from collections.abc import Callable

LONGEST = 8192  # characters of a line
_MESSAGES = ("[PID]", "[METRICS]")


def make_readable() -> None:
    """Change the lines that this process prints from now on; logging prints through the same streams."""
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        # A character that cannot be encoded must not fail the request whose code prints it.
        stream.reconfigure(errors="backslashreplace")
        # A stream in place of this one would not be used by handlers that the model server or the code has made already.
        stream.write = functools.partial(_write, stream.write)  # type: ignore[method-assign]


def _write(write: Callable[[str], int], text: str) -> int:
    write("\n".join(map(_readable, text.split("\n"))))
    return len(text)


def _readable(line: str) -> str:
    if line.startswith(_MESSAGES):
        line = f" {line}"
    more = len(line) - LONGEST
    return line if more <= 0 else f"{line[:LONGEST]}... ({more:,} more characters)"
