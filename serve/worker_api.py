"""The messages between the front and a worker, which go through the model server: requests, answers, settings, and files in memory.

A request travels as a header and a body, an answer as one body that begins with its facts. On the way through the model server
a body is held three times, in a heap that is too small for large ones, and an answer over 6.5 MB ends its worker. So for large
bodies and answers the front lends a file in memory: the worker reads the body from it and leaves its answer in it.
"""

import contextlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from serve.formats import Form

SETTINGS = "settings.json"  # the settings' file in the model's folder, beside the manifest that the model server reads
HEADER = "X-Byoc-Request"  # holds a WorkerRequest
MARK = b"\x93byoc"  # the beginning of every worker's answer, but of no answer of the model server's own
# A body of up to this many bytes goes through the model server, which is 4 % faster at 110 kB. A larger body is lent, which is
# 7 % faster at 1 MB.
LENT_BYTES = 256 * 1024

# A lent file's path, device and inode: when the loan has ended, the path may name another request's file.
Place = tuple[str, int, int]


@dataclass(frozen=True, kw_only=True)
class WorkerRequest:
    """One request to a worker, without its body."""

    id: str = ""  # names the request in logs and errors
    # Whether this is a probe: the worker computes a photo of its own and answers with an empty body.
    probe: bool = False
    form: Form | None = None  # the formats of body and answer; None if the model's own code decides on them
    headers: tuple[tuple[str, str], ...] = ()  # the client's headers, for the model's own code
    lent: Place | None = None  # the lent file that holds the body; None means that the body comes with the request

    @property
    def may_have_large_answer(self) -> bool:
        """Whether the answer may be too large for the model server, as with many photos, or from a model's own code."""
        return self.form.json if self.form else not self.probe

    def to_header(self) -> str:
        """Return the request as JSON in ASCII, without the fields that have their defaults."""
        facts = {name: value for name, value in vars(self).items() if value}
        return json.dumps(facts | {"form": vars(self.form)} if self.form else facts)

    @classmethod
    def from_header(cls, text: str) -> "WorkerRequest":
        """Return the request that `to_header` wrote."""
        facts = json.loads(text)
        form, lent = facts.pop("form", None), facts.pop("lent", None)
        headers = tuple((name, value) for name, value in facts.pop("headers", ()))
        return cls(**facts, form=Form(**form) if form else None, headers=headers, lent=tuple(lent) if lent else None)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The times that a worker needed for one request, in seconds."""

    decode: float
    model: float  # the model's pass, for all requests that shared it
    photos: int
    batch: int  # requests that shared the pass


@dataclass(frozen=True)
class Answer:
    """A worker's answer to one request."""

    status: int
    text: bytes  # the answer's body; for a refused request, the sentence that says why
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)  # further headers, which a model's own code sets
    refused: bool = False
    timing: Timing | None = None  # None if the worker failed before it could measure
    last: bool = False  # whether the worker ends after this answer; this is not sent to the front

    def to_bytes(self, *, lent: bool = False) -> bytes:
        """Return MARK, the length of the facts in 4 bytes, the facts as JSON, and the text unless it is in the lent file.

        Trap: facts in headers would end workers. The model server reads a batch of answers piece by piece, and fails if a piece
        ends within a header ("Message size exceed limit"); within a body it waits for the next piece.
        """
        facts = {
            "status": self.status,
            "content_type": self.content_type,
            "headers": self.headers,
            "refused": self.refused,
            "timing": self.timing and vars(self.timing),
            "lent": lent,
        }
        head = json.dumps(facts).encode()
        return MARK + struct.pack("!I", len(head)) + head + (b"" if lent else self.text)

    @classmethod
    def from_bytes(cls, data: bytes, loan: "Loan | None" = None) -> "Answer | None":
        """Return the answer that `to_bytes` wrote, or None if the text is the model server's own."""
        if not data.startswith(MARK):
            return None
        begin = len(MARK) + 4
        end = begin + struct.unpack_from("!I", data, len(MARK))[0]
        facts: dict[str, Any] = json.loads(data[begin:end])
        text = loan.answer() if facts.pop("lent") and loan else data[end:]
        timing = facts.pop("timing")
        return cls(text=text, timing=Timing(**timing) if timing else None, **facts)


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """The settings with which a worker opens and runs its model."""

    model_dir: Path
    prepared: Path  # the folder that serve.prepare wrote
    code: Path | None  # the folder of the model's own code, if it has any
    program: Path | None  # the file of that code to run
    accept: str  # the form of an answer if the client names none
    threads: int
    decoders: int  # the number of photos decoded at a time
    top_k: int
    max_pixels: int
    timeout: int  # seconds

    def write(self, folder: Path) -> None:
        """Write the settings into a model's folder."""
        (folder / SETTINGS).write_text(json.dumps(vars(self), default=str))

    @classmethod
    def read(cls, folder: Path) -> "WorkerSettings":
        """Return the settings in a model's folder."""
        facts = json.loads((folder / SETTINGS).read_text())
        paths = {name: Path(facts[name]) for name in ("model_dir", "prepared", "code", "program") if facts[name]}
        return cls(**facts | paths)


class Loan:
    """A file in memory that lasts as long as the front holds it; `place` is where a worker finds it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.place: Place = (f"/proc/{os.getpid()}/fd/{file.fileno()}", *_identity(file))

    def answer(self) -> bytes:
        """Return the answer that the worker left."""
        self._file.seek(0)
        return self._file.read()


@contextlib.contextmanager
def lend(body: bytes) -> Iterator[Loan]:
    """Lend a body while the block runs."""
    with os.fdopen(os.memfd_create("body"), "w+b", buffering=0) as file:
        _write(file, body)
        yield Loan(file)


def fetch(place: Place) -> bytes:
    """Return a lent body. The worker calls this. The body is empty if the loan has ended, since then nobody waits for the answer."""
    with _opened(place, "rb") as file:
        return file.read() if file else b""


def leave(place: Place, text: bytes) -> None:
    """Replace a lent body with the answer. The worker calls this. It does nothing if the loan has ended."""
    with _opened(place, "r+b") as file:
        if file:
            file.truncate(0)
            _write(file, text)


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
