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
    seen, end = b"", time.monotonic() + 30
    try:
        while time.monotonic() < end and process.poll() is None:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"features:" in seen and b"/30" in seen, seen
