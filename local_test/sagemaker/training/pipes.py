"""Channels in Pipe mode: a named pipe for each epoch, into which the objects are written one after the other (C 1.2, 1.4)."""

import errno
import json
import os
import random
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from local_test.sagemaker.errors import invalid
from local_test.sagemaker.storage import NoBucket, S3Uri, Storage
from local_test.sagemaker.training.inputs import Channel, Input, source

BLOCK = 1 << 16
STEP = 0.05  # seconds between two checks for a reader
MARK = 0xCED7230A  # the mark that begins a RecordIO record (MXNet, note_data_loading)
PART = 1 << 29  # the most bytes of one part of a record
WHOLE = 0  # the kind of a record that has only one part


class Pipe:
    """Writes one channel of one host, epoch after epoch, until `end`."""

    def __init__(self, folder: Path, channel: Channel, found: Sequence[Input], storage: Storage) -> None:
        self._folder = folder
        self._channel = channel
        self._found = list(found)
        self._storage = storage
        self._ended = threading.Event()
        self._make(0)

    def start(self) -> None:
        threading.Thread(target=self._write, name=f"pipe {self._channel['ChannelName']}", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def _make(self, epoch: int) -> Path:
        path = self._folder / f"{self._channel['ChannelName']}_{epoch}"
        os.mkfifo(path)
        path.chmod(0o666)
        return path

    def _write(self) -> None:
        epoch = 0
        path = self._folder / f"{self._channel['ChannelName']}_0"
        while (number := self._reader(path)) is not None:
            following = self._make(epoch + 1)  # the program may open the pipe at once
            try:
                with os.fdopen(number, "wb", buffering=BLOCK) as pipe:
                    for block in self._epoch(epoch):
                        pipe.write(block)
            except BrokenPipeError:
                pass  # the program needs no more data of this epoch
            epoch, path = epoch + 1, following

    def _reader(self, path: Path) -> int | None:
        """Wait until the program opens the pipe and return our end of it, or None if the job has ended."""
        while not self._ended.is_set():
            try:
                number = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno not in (errno.ENXIO, errno.ENOENT):
                    raise
                time.sleep(STEP)
                continue
            os.set_blocking(number, True)
            return number
        return None

    def _epoch(self, epoch: int) -> Iterator[bytes]:
        """Yield the bytes of one epoch; a ShuffleConfig gives each epoch a new order (API, Channel.ShuffleConfig)."""
        order = (
            random.Random(f"{self._channel['ShuffleConfig']['Seed']} {epoch}")
            if "ShuffleConfig" in self._channel
            else None
        )
        if source(self._channel)["S3DataType"] == "AugmentedManifestFile":
            yield from self._augmented(order)
            return
        found = list(self._found)
        if order:
            order.shuffle(found)
        for entry in found:
            content = _read(entry.object.path, self._channel.get("CompressionType") == "Gzip")
            yield from [record(b"".join(content))] if self._channel.get("RecordWrapperType") == "RecordIO" else content

    def _augmented(self, order: random.Random | None) -> Iterator[bytes]:
        """Yield a record for each attribute of each line, in the order of AttributeNames (API, S3DataSource)."""
        lines = self._found[0].object.path.read_text().splitlines()
        if order:
            order.shuffle(lines)
        for line in filter(None, lines):
            entry = json.loads(line)
            for name in source(self._channel)["AttributeNames"]:
                if name in entry:
                    yield record(self._attribute(name, entry[name]))

    def _attribute(self, name: str, value: Any) -> bytes:
        """Return an attribute's bytes.

        If the attribute's name ends in -ref, they are the bytes of the object that it names, else the value.
        """
        if not name.endswith("-ref"):
            return (value if isinstance(value, str) else json.dumps(value)).encode()
        try:
            found = self._storage.object(S3Uri.parse(value))
        except NoBucket:
            found = None
        if found is None:
            raise invalid(f"the augmented manifest names {value}, and there is no such object")
        return found.path.read_bytes()


def record(content: bytes) -> bytes:
    """Return a RecordIO record: a mark, the length, the content and zeros up to a multiple of 4 bytes."""
    mark = struct.pack("<I", MARK)
    parts, start = [], 0
    # A mark inside the content at a multiple of 4 begins a new part, and is left out (dmlc-core, recordio.h).
    for place in range(0, len(content) - 3, 4):
        if content[place : place + 4] == mark:
            parts.append(content[start:place])
            start = place + 4
    parts.append(content[start:])
    kinds = [WHOLE] if len(parts) == 1 else [1, *([2] * (len(parts) - 2)), 3]
    return b"".join(_part(kind, part) for kind, part in zip(kinds, parts, strict=True))


def _part(kind: int, content: bytes) -> bytes:
    if len(content) >= PART:
        raise invalid(f"an object of {len(content)} bytes is too large for a RecordIO record")
    return struct.pack("<II", MARK, kind << 29 | len(content)) + content + bytes(-len(content) % 4)


def _read(path: Path, gzip: bool) -> Iterator[bytes]:
    unpack = zlib.decompressobj(31) if gzip else None
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield unpack.decompress(block) if unpack else block
