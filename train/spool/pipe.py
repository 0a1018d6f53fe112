"""Pipe mode: a channel's photos come through a FIFO, and only once. They are kept in a local file before training begins.

A pipe holds RecordIO as im2rec packs it, or the attributes of an augmented manifest, each wrapped as a record.
"""

import atexit
import dataclasses
import gzip
import io
import itertools
import json
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from classifier.augmented import Classes, all_numbers, find_class
from classifier.errors import ConfigError, DataError
from classifier.recordio import HEADER, MARK, label_of, packed, photo_of, read_record, record_name
from train.contract import OTHER_CHANNELS, Job
from train.environment import PIPE_SPOOL
from train.processes import started_by_torchrun
from train.spool.fifo import Fifo
from train.spool.pack import write_at

_LINE_SECONDS = 5.0
_CHUNK = 1 << 20
_MAX_TEXT = 65_536  # bytes of an attribute
_MAX_ATTRIBUTES = 16  # the most attributes of one photo (the API's limit)
_GZIP = b"\x1f\x8b"

Record = tuple[str, bytes]  # the record's name for messages, and its bytes


def spooled(job: Job) -> Job:
    """Read each pipe of a job to its end into a local folder, and return the job with these folders as channels.

    The folders are removed when this process ends. Raises a UserError if a pipe does not deliver photos with classes, and
    Stopped on SIGTERM.
    """
    if not job.pipes:
        return job
    for name in job.pipes & OTHER_CHANNELS:
        raise ConfigError(f"the channel {name!r} has the input mode Pipe, which is for photos only; give it File")
    if started_by_torchrun():
        folder = PIPE_SPOOL.read()
    else:
        folder = Path(tempfile.mkdtemp(prefix="byoc-pipe-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        PIPE_SPOOL.set(str(folder))
        for name in sorted(job.pipes):
            spool(job.base / "input" / "data" / f"{name}_0", name, folder / name)
    return dataclasses.replace(job, channels={**job.channels, **{name: folder / name for name in job.pipes}})


def spool(fifo: Path, channel: str, folder: Path) -> None:
    """Read a FIFO to its end and write its photos to `folder`: one RecordIO file, and a manifest that lists its photos."""
    folder.mkdir()
    listed: list[tuple[str, str]] = []
    offset, next_line = 0, time.monotonic() + _LINE_SECONDS
    with Fifo(fifo, channel) as pipe, (folder / fifo.name).open("wb", buffering=0) as file:
        for number, (photo, label) in enumerate(_labelled(_records(pipe, channel), channel), 1):
            listed.append((f"{fifo.name}/{record_name(number, offset)}", label))
            try:
                data = packed(photo)
                write_at(file.fileno(), data, offset)
                offset += len(data)
            except OSError as error:
                raise DataError(
                    f"the photos of the channel {channel!r} do not fit into {tempfile.gettempdir()} ({error.strerror}); give "
                    "the job a larger volume"
                ) from error
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + _LINE_SECONDS
                print(f"channel {channel}: {number:,} photos, {offset / 1e6:,.0f} MB read", file=sys.stderr, flush=True)
    if all_numbers(label for _, label in listed):
        text = "".join(f"{number}\t{label}\t{path}\n" for number, (path, label) in enumerate(listed))
        (folder / "photos.lst").write_text(text)
    else:
        text = "".join(json.dumps({"path": path, "label": label}) + "\n" for path, label in listed)
        (folder / "photos.jsonl").write_text(text)


def _records(pipe: Fifo, channel: str) -> Iterator[Record]:
    """Yield the records of a pipe. Gzip data is decompressed, unless the platform has already done this."""
    first = pipe.begin(4)
    buffered = io.BufferedReader(pipe, _CHUNK)
    source = cast(BinaryIO, buffered)
    if first[:2] == _GZIP:
        source = cast(BinaryIO, gzip.GzipFile(fileobj=buffered))
    elif first and first != MARK:
        raise DataError(
            f"the channel {channel!r} has the input mode Pipe, but what comes is not RecordIO (it begins with {first.hex(' ')}): "
            "without records nothing tells photos apart; give it the input mode FastFile, or for an augmented manifest the record "
            "wrapping RecordIO"
        )
    try:
        number = 1
        while (record := read_record(source, where := f"record {number} of the channel {channel!r}")) is not None:
            yield where, record
            number += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the gzip data of the channel {channel!r} is damaged ({error}); upload it again") from error
    if number == 1:
        raise DataError(
            f"nothing came through the pipe of the channel {channel!r}; check that its S3 address holds photos"
        )


def _labelled(records: Iterator[Record], channel: str) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of each photo, and its class."""
    where, first = next(records)
    everything = itertools.chain([(where, first)], records)
    if first[:4] == MARK:
        raise DataError(
            f"the records of the channel {channel!r} are RecordIO files as a whole; leave its record wrapping at None"
        )
    if _is_text(first) or _is_photo(first):
        classes = Classes()
        for where, photo, texts in _groups(everything, channel):
            yield photo, find_class(texts, classes, f"the photo in {where}")
    else:
        for where, record in everything:
            label = label_of(record, where)
            yield photo_of(record), label


def _groups(records: Iterator[Record], channel: str) -> Iterator[tuple[str, bytes, list[bytes]]]:
    """Yield for each photo its record's name, its bytes, and its other attributes.

    The first records show how many attributes each photo has, and which of them is the photo.
    """
    ahead: list[Record] = []
    photos: list[int] = []
    for record in records:
        if not _is_text(record[1]):
            photos.append(len(ahead))
        ahead.append(record)
        if len(photos) == 2 or len(ahead) > 2 * _MAX_ATTRIBUTES:
            break
    if not photos:
        raise DataError(
            f"the channel {channel!r} has no photo among its first {len(ahead)} records; let AttributeNames be the photo and its "
            'label, as in ["source-ref", "class"]'
        )
    size = photos[1] - photos[0] if len(photos) == 2 else len(ahead)
    place = photos[0]
    if size == 1:
        raise DataError(
            f"the photos of the channel {channel!r} come without labels; send an augmented manifest with AttributeNames such as "
            '["source-ref", "class"], or give the channel the input mode FastFile'
        )
    everything = itertools.chain(ahead, records)
    while group := list(itertools.islice(everything, size)):
        if len(group) < size or place >= size:
            raise DataError(
                f"{group[-1][0]} is the last, but each photo of the channel comes with {size - 1} other records; let each line of "
                "the manifest have all attributes"
            )
        where, photo = group.pop(place)
        yield where, photo, [text for _, text in group]


def _is_text(record: bytes) -> bool:
    if len(record) > _MAX_TEXT:
        return False
    try:
        return all(sign.isprintable() or sign in "\t\r\n" for sign in record.decode())
    except UnicodeDecodeError:
        return False


def _is_photo(record: bytes) -> bool:
    """Return whether a record is a photo without im2rec's header; the third and fourth bytes of that header are 0."""
    return record[2:4] != b"\0\0" or len(record) < HEADER.size
