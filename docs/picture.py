"""Records `make demo` in a terminal and draws it as docs/demo.svg: `.venv/bin/python -m docs.picture`.

The picture needs no script, no font and no network: each line of the terminal is a text that appears at its time. Readers who have
turned animations off see all lines at once. Run `make demo` once before, so that all packages are installed.
"""

import fcntl
import os
import re
import struct
import subprocess
import termios
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).with_name("demo.svg")
COMMAND = ("make", "demo")
COLUMNS, ROWS = 112, 60
LONGEST_PAUSE = 0.8  # seconds; a longer pause of the terminal is shortened to this
# Pixels: the width of a character and the height of a line for a font of 13 pixels, and the margin.
WIDTH, HEIGHT, MARGIN = 7.8, 18, 16
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_STYLE = """
svg { background: #10151c; }
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #c9d1d9; white-space: pre;
  animation: appear 0.01s both; }
.command { fill: #7ee787; font-weight: bold; }
.step { fill: #79c0ff; font-weight: bold; }
@keyframes appear { from { opacity: 0; } }
@media (prefers-reduced-motion: reduce) { text { animation: none; } }
"""


@dataclass(frozen=True)
class Line:
    """A complete line of the terminal. `seconds` is the time from the start of the command to the end of the line."""

    text: str
    seconds: float


def record(command: Sequence[str], folder: Path) -> list[Line]:
    """Run a command in a new terminal and return the lines that it shows. Raises CalledProcessError if the command fails."""
    # Without make's own variables: below make picture, the command would print the folder that it enters and leaves.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    started = time.monotonic()
    lines: list[Line] = []
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=its, stderr=its
    ) as process:
        os.close(its)
        rest = b""
        while data := _read(ours):
            *ended, rest = (rest + data).split(b"\n")
            lines += [Line(_shown(line), time.monotonic() - started) for line in ended]
    os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return lines


def drawn(command: str, lines: Sequence[Line]) -> str:
    """Return an SVG of a command and its lines. The pauses between lines are kept up to LONGEST_PAUSE."""
    texts, at, before = [_text(0, f"$ {command}", "command", 0)], 1.0, 0.0
    for line in lines:
        at += min(line.seconds - before, LONGEST_PAUSE)
        before = line.seconds
        for part in _wrapped(line.text):
            texts.append(_text(len(texts), part, "step" if part.startswith("== ") else "", at))
    width, height = round(COLUMNS * WIDTH + 2 * MARGIN), len(texts) * HEIGHT + 2 * MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *texts, "</svg>", ""])


def main() -> None:
    """Record the demo and write the picture."""
    lines = record(COMMAND, PICTURE.parents[1])
    PICTURE.write_text(drawn(" ".join(COMMAND), lines))
    print(f"{PICTURE} shows {len(lines)} lines and takes {PICTURE.stat().st_size / 1000:.0f} kB")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # on Linux, the read fails after the last process has closed the terminal
        return b""


def _shown(line: bytes) -> str:
    """Return the last state of a line in the terminal. A progress bar, for example, has many states."""
    states = [state for state in _ESCAPES.sub(b"", line).split(b"\r") if state.strip()]
    return states[-1].decode(errors="replace").rstrip() if states else ""


def _wrapped(text: str) -> list[str]:
    return [text] if len(text) <= COLUMNS else textwrap.wrap(text, COLUMNS)


def _text(number: int, text: str, kind: str, at: float) -> str:
    place = f'x="{MARGIN}" y="{MARGIN + HEIGHT * (number + 1) - 5}"'
    named = f' class="{kind}"' if kind else ""
    return f'<text {place}{named} style="animation-delay:{at:.2f}s">{escape(text)}</text>'


if __name__ == "__main__":
    main()
