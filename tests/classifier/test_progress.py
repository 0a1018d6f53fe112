"""Progress as a user sees it on a terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

from classifier.progress import Progress

CODE = """
import time
from classifier.progress import Progress
with Progress("features", 30, "photos") as progress:
    for _ in range(30):
        time.sleep(0.1)
        progress.advance()
"""


def test_a_terminal_that_says_it_has_no_columns_still_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", CODE], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen, end = b"", time.monotonic() + 120
    try:
        while time.monotonic() < end:  # read on after the program's end, because the terminal still holds output
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # the program has closed its end of the terminal
                    break
        assert process.wait(300) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"features:" in seen and b"/30" in seen, seen


def test_without_a_terminal_there_is_a_line_after_two_seconds_and_every_five(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with Progress("features", 4000, "photos") as progress, Progress("quiet", 9, "photos", shown=False) as quiet:
        for seconds, steps in ((1.9, 100), (2.0, 900), (6.9, 1000), (7.0, 1), (11.9, 1), (12.0, 1)):
            now[0] = 100.0 + seconds
            progress.advance(steps)
            quiet.advance()
    assert capsys.readouterr().err.splitlines() == [
        "features: 1,000 of 4,000 photos, 500.0/s",
        "features: 2,001 of 4,000 photos, 285.9/s",
        "features: 2,003 of 4,000 photos, 166.9/s",
    ]
    monkeypatch.setattr("sys.stderr", None)
    with Progress("features", 1, "photos") as progress:
        now[0] = 999.0
        progress.advance()
