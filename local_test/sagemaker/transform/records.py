"""Splits an object into records, and packs records into the payloads of requests (API, TransformInput.SplitType)."""

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

MAGIC = 0xCED7230A  # the mark before each record of RecordIO
MB = 1 << 20


class TooLarge(Exception):
    """A record does not fit into a payload."""


class Damaged(Exception):
    """An object does not have the format that SplitType or CompressionType names."""


@dataclass(frozen=True)
class Record:
    """One record: its content, and its bytes in the object, with the format's framing."""

    content: bytes
    framed: bytes


@dataclass(frozen=True)
class Payload:
    """The body of one request: its records, joined with `glue`."""

    records: tuple[bytes, ...]
    glue: bytes = b""


@dataclass(frozen=True)
class Splitting:
    """Turns a job's objects into payloads."""

    kind: str  # the request's SplitType
    several: bool  # whether BatchStrategy is MultiRecord
    largest: int  # the most bytes of a payload
    packed: bool = False  # whether CompressionType is Gzip

    def payloads(self, path: Path) -> Iterator[Payload]:
        """Yield the payloads of an object; raises TooLarge and Damaged."""
        with gzip.open(path) if self.packed else path.open("rb") as file:
            try:
                yield from self._payloads(file)
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                raise Damaged(f"the object is not valid gzip: {error}") from None

    def _payloads(self, file: BufferedIOBase) -> Iterator[Payload]:
        if self.kind == "None":
            yield Payload((self._fits(file.read(self.largest + 1)),))
        elif not self.several:
            for record in self._records(file):
                yield Payload((self._fits(record.content),))
        else:
            yield from self._packed(self._records(file))

    def _packed(self, records: Iterable[Record]) -> Iterator[Payload]:
        """Put all records that fit into each payload; binary formats keep their framing (API)."""
        glue = b"\n" if self.kind == "Line" else b""
        held: list[bytes] = []
        size = 0
        for record in records:
            body = self._fits(record.framed)
            if held and size + len(glue) + len(body) > self.largest:
                yield Payload(tuple(held), glue)
                held, size = [], 0
            size += len(body) + (len(glue) if held else 0)
            held.append(body)
        if held:
            yield Payload(tuple(held), glue)

    def _records(self, file: BufferedIOBase) -> Iterator[Record]:
        if self.kind == "Line":
            return _lines(file)
        return _recordio(file) if self.kind == "RecordIO" else self._tfrecord(file)

    def _tfrecord(self, file: BufferedIOBase) -> Iterator[Record]:
        """Yield TFRecords: length, its checksum, content, its checksum. The checksums are not checked here, but left to the model."""
        while head := file.read(12):
            (length,) = struct.unpack("<Q", _whole(head, 12)[:8])
            if length > self.largest:  # checked before reading, since a damaged file may name any length
                raise self._too_large()
            body = file.read(length + 4)
            yield Record(_whole(body, length + 4)[:length], head + body)

    def _fits(self, body: bytes) -> bytes:
        if len(body) > self.largest:
            raise self._too_large()
        return body

    def _too_large(self) -> TooLarge:
        return TooLarge(f"Too much data for max payload size, {self.largest // MB} MB")


def _lines(file: BufferedIOBase) -> Iterator[Record]:
    for line in file:
        text = line.rstrip(b"\r\n")
        if text:
            yield Record(text, text)


def _recordio(file: BufferedIOBase) -> Iterator[Record]:
    """Yield RecordIO records, as MXNet writes them: mark, length, content, and padding to four bytes."""
    while head := file.read(8):
        magic, length = struct.unpack("<II", _whole(head, 8))
        if magic != MAGIC or length >> 29:
            raise Damaged("the object is not RecordIO of whole records")
        body = _whole(file.read(length + -length % 4), length + -length % 4)
        yield Record(body[:length], head + body)


def _whole(data: bytes, length: int) -> bytes:
    if len(data) < length:
        raise Damaged("the object ends within a record")
    return data
