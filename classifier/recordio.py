"""RecordIO files as MXNet's im2rec packs them: many photos and their class numbers in one file. Imports no torch.

A record is one or more parts. A part is MARK, a number with the part's kind (3 bits) and length (29 bits), the bytes, and
zeros up to a multiple of 4. When the bytes contain MARK at a multiple of 4, the writer omits it there and begins a new part
(dmlc-core, recordio.h).
"""

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from classifier.errors import DataError, PhotoError
from classifier.names import is_system

SUFFIX = ".rec"
MARK = bytes.fromhex("0a23d7ce")  # 0xced7230a
PART = struct.Struct("<4sI")
# The header that im2rec writes before a photo: the number of further labels (0 means that the next number is the label), the
# label, and two unused numbers.
HEADER = struct.Struct("<IfQQ")
MAX_RECORD = 400_000_000  # bytes; 120 megapixels, the most that are decoded, take 360 million without compression
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_HEAD = HEADER.size + 4  # the number of first bytes of a record that include its label
_MAX_LABELS = 1000


def records_in(folder: Path) -> list[Path]:
    """Return the RecordIO files at the top level of a folder, sorted, without hidden and system files."""
    try:
        return sorted(
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() == SUFFIX and not is_system(entry.name) and entry.is_file()
        )
    except PermissionError as error:
        raise DataError(f"{error.filename} cannot be listed; give yourself read permission on it") from error


def list_records(files: Sequence[Path], splits: Mapping[str, Sequence[str]]) -> dict[str, list[Path]]:
    """Return the photos of each class, in the order of the files. Classes are the numbers as text, in numeric order.

    A photo's path continues its file's path: train.rec/record7@81920 is record 7, which begins at byte 81,920. The photos
    themselves are not read. `splits` are the spellings of each split's name.
    Raises DataError when a file is damaged, when a photo's label is not one class number, and when the files' names say that
    they belong to several splits.
    """
    _refuse_mixed(files, splits)
    by_class: dict[str, list[Path]] = {}
    for path in files:
        try:
            with path.open("rb") as file:
                for number, offset, label in _labels(file, path):
                    by_class.setdefault(label, []).append(path / record_name(number, offset))
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); make it a file that you may read") from error
    return {label: by_class[label] for label in sorted(by_class, key=int)}


def refuse_below(folder: Path, files: Sequence[Path]) -> None:
    """Raise DataError for a RecordIO file among `files`, which are in subfolders of `folder`, where it would not be read."""
    for path in files:
        if path.suffix.lower() == SUFFIX:
            raise DataError(f"{path} is not read, because RecordIO files are read in {folder} itself; move it there")


def record_name(number: int, offset: int) -> str:
    """Return the name of a record below its file."""
    return f"record{number}@{offset}"


def read_record_photo(path: Path) -> bytes:
    """Return a photo's bytes by the path that `list_records` gave it; raises PhotoError when they cannot be read."""
    try:
        with path.parent.open("rb") as file:
            file.seek(int(path.name.rpartition("@")[2]))
            record = read_record(file, str(path))
        if record is None:
            raise PhotoError("cannot be read: its file has become shorter")
        return photo_of(record)
    except ValueError as error:
        raise PhotoError(f"cannot be read: {path.parent} is not a folder") from error
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror or error}") from error
    except DataError as error:
        raise PhotoError(f"cannot be read: {error}") from error


def read_record(file: BinaryIO, where: str, *, keep: int = MAX_RECORD) -> bytes | None:
    """Return at most the first `keep` bytes of the record at the file's position; None at the end of the file.

    `file` must be seekable only when `keep` is given. Raises DataError, which begins with `where`, when the record is damaged
    or longer than MAX_RECORD.
    """
    record, length, kind = bytearray(), 0, -1
    while kind not in (_WHOLE, _LAST):
        head = file.read(PART.size)
        if not head and kind == -1:
            return None
        if len(head) < PART.size:
            raise _cut_off(where)
        mark, number = PART.unpack(head)
        first, kind, size = kind == -1, number >> 29, number & (1 << 29) - 1
        if mark != MARK or kind > _LAST or first != (kind in (_WHOLE, _FIRST)):
            raise DataError(f"{where} is damaged: no record begins or continues there; copy the file again")
        if not first:
            record += MARK
            length += len(MARK)
        length += size
        if length > MAX_RECORD:
            raise DataError(f"{where} is longer than {MAX_RECORD:,} bytes; copy the file again or leave that photo out")
        wanted = min(size, max(0, keep - len(record)))
        data = file.read(wanted)
        record += data
        if len(data) < wanted or not _skip(file, size - wanted + -size % 4):
            raise _cut_off(where)
    return bytes(record[:keep])


def label_of(record: bytes, where: str) -> str:
    """Return a record's class number as text; raises DataError, which begins with `where`, when it has none or several."""
    if len(record) < HEADER.size:
        raise DataError(f"{where} does not hold a photo as im2rec packs it; make the file with im2rec")
    count, label, *_ = HEADER.unpack_from(record)
    if count == 1 and len(record) >= _HEAD:
        (label,) = struct.unpack_from("<f", record, HEADER.size)
    elif count > _MAX_LABELS:
        raise DataError(f"{where} does not hold a photo as im2rec packs it; make the file with im2rec")
    elif count:
        raise DataError(
            f"{where} has {count} labels; training needs one: make the file from a list with one class a photo"
        )
    if not (label >= 0 and label.is_integer()):
        raise DataError(f"{where} has the label {label:g}; a class is a whole number from 0, correct the list")
    return str(int(label))


def photo_of(record: bytes) -> bytes:
    """Return the bytes of the photo in a record."""
    count = HEADER.unpack_from(record)[0]
    return record[HEADER.size + 4 * count :]


def packed(photo: bytes) -> bytes:
    """Return a record of one part that holds a photo and the label 0."""
    record = HEADER.pack(0, 0.0, 0, 0) + photo
    return PART.pack(MARK, len(record)) + record + bytes(-len(record) % 4)


def _labels(file: BinaryIO, path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield each record's number from 1, where it begins, and its class."""
    number, offset = 0, 0
    while True:
        where = f"{path}, record {number + 1} (at byte {offset:,})"
        record = read_record(file, where, keep=_HEAD)
        if record is None:
            break
        number += 1
        yield number, offset, label_of(record, where)
        offset = file.tell()
    if not number:
        raise DataError(f"{path} holds no record; make it again with im2rec")


def _skip(file: BinaryIO, count: int) -> bool:
    """Skip bytes and return whether the file has that many."""
    if count > 3:  # padding is at most 3 bytes and is read, so that a pipe works too
        file.seek(count - 1, os.SEEK_CUR)
        count = 1
    return len(file.read(count)) == count


def _cut_off(where: str) -> DataError:
    return DataError(f"{where} is cut off; copy the file again")


def _refuse_mixed(files: Sequence[Path], splits: Mapping[str, Sequence[str]]) -> None:
    found: dict[str, Path] = {}
    for path in files:
        words = "".join(sign if sign.isalnum() else " " for sign in path.stem.lower()).split()
        named = [split for split, names in splits.items() if any(name in words for name in names)]
        if len(named) == 1:
            found.setdefault(named[0], path)
    if len(found) > 1:
        first, second = list(found.values())[:2]
        raise DataError(
            f"{first.parent} holds {first.name} and {second.name}, which are of two splits; put each into a folder or channel "
            f"of its own, named {' and '.join(found)}"
        )
