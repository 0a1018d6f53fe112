"""What the front and a worker have between them, past the model server: names, and files in memory for what is large.

On its way through the model server a body is held three times, in a heap that large ones do not fit, and an answer over
6.5 MB ends its worker. So the front lends a file, where the worker finds the body and leaves its answer.
"""

import contextlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

SETTINGS = "settings.json"  # beside the manifest that the model server reads
ASKED = "X-Byoc-Asked"  # a header with JSON
MARK = b"\x93byoc"  # what a worker answers begins with it; what the model server says itself does not
NO_ROOM = 3  # the status of serve.prepare when memory or the disk was too small
NO_MEMORY = "there is too little memory"  # how the reason in status/failed begins where that is it
# Smaller bodies go through it, which is 4 % faster at 110 kB; what is larger is lent, 7 % faster at 1 MB.
LENT_BYTES = 256 * 1024

# A lent file's path, device and inode: once given back, its path may name another request's file.
Place = tuple[str, int, int]


def wrapped(facts: dict[str, Any], text: bytes) -> bytes:
    """Return an answer as the model server passes it on: MARK, the length of the facts in 4 bytes, the facts as JSON, the text.

    Trap: facts in headers would end workers. The model server reads a batch of answers piece by piece, and fails where a piece
    ends within a header ("Message size exceed limit"); within a body it waits for the next piece.
    """
    head = json.dumps(facts).encode()
    return MARK + struct.pack("!I", len(head)) + head + text


def unwrapped(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return the facts and the text of a worker's answer, or None for what the model server says itself."""
    if not data.startswith(MARK):
        return None
    begin = len(MARK) + 4
    end = begin + struct.unpack_from("!I", data, len(MARK))[0]
    return json.loads(data[begin:end]), data[end:]


class Loan:
    """A file in memory that lasts as long as the front holds it; `place` is where a worker finds it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.place: Place = (f"/proc/{os.getpid()}/fd/{file.fileno()}", *_identity(file))

    def answer(self) -> bytes:
        """Return what the worker left."""
        self._file.seek(0)
        return self._file.read()


@contextlib.contextmanager
def lend(body: bytes) -> Iterator[Loan]:
    """Lend a body while the block runs."""
    with os.fdopen(os.memfd_create("body"), "w+b", buffering=0) as file:
        _write(file, body)
        yield Loan(file)


def fetch(place: Place) -> bytes:
    """Return a lent body, in the worker; empty when the front has given the request up, so that nobody waits for it."""
    with _opened(place, "rb") as file:
        return file.read() if file else b""


def leave(place: Place, text: bytes | str) -> None:
    """Put an answer in the place of a lent body, in the worker, unless the front has given the request up."""
    with _opened(place, "r+b") as file:
        if file:
            file.truncate(0)
            _write(file, text.encode() if isinstance(text, str) else text)


@contextlib.contextmanager
def _opened(place: Place, mode: Literal["rb", "r+b"]) -> Iterator[BinaryIO | None]:
    path, *identity = place
    with contextlib.ExitStack() as stack:
        file = None
        with contextlib.suppress(OSError):
            file = stack.enter_context(Path(path).open(mode, buffering=0))
        yield file if file and [*_identity(file)] == identity else None


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
