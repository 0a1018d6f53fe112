"""What the front and a worker have between them, past the model server: names, and files in memory for what is large.

On its way through the model server a body is held three times, in a heap that large ones do not fit, and an answer over
6.5 MB ends its worker. So the front lends a file, where the worker finds the body and leaves its answer.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SETTINGS = "settings.json"  # beside the manifest that the model server reads
ASKED, ANSWERED = "X-Byoc-Asked", "X-Byoc-Answered"  # headers with JSON
NO_ROOM = 3  # the status of serve.prepare when memory or the disk was too small
NO_MEMORY = "there is too little memory"  # how the reason in status/failed begins where that is it
# Smaller bodies go through it, which is 4 % faster at 110 kB; what is larger is lent, 7 % faster at 1 MB.
LENT_BYTES = 256 * 1024


class Loan:
    """A file in memory that lasts as long as the front holds it; `path` is what a worker opens."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.path = f"/proc/{os.getpid()}/fd/{file.fileno()}"

    def answer(self) -> bytes:
        """Return what the worker left."""
        self._file.seek(0)
        return self._file.read()


@contextlib.contextmanager
def lend(body: bytes) -> Iterator[Loan]:
    """Lend a body while the block runs."""
    with os.fdopen(os.memfd_create("body"), "w+b", buffering=0) as file:
        view = memoryview(body)
        while view:
            view = view[file.write(view) :]
        yield Loan(file)


def fetch(path: str) -> bytes:
    """Return a lent body, in the worker; empty when the front has given the request up, so that nobody waits for it."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def leave(path: str, text: bytes | str) -> None:
    """Put an answer in the place of a lent body, in the worker, unless the front has given the request up."""
    with contextlib.suppress(FileNotFoundError):
        Path(path).write_bytes(text.encode() if isinstance(text, str) else text)
