"""Writes RecordIO files. It follows the description of the format and shares no code with the program's reader."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

MARK = bytes.fromhex("0a23d7ce")


def part(kind: int, data: bytes) -> bytes:
    """Return one part of a record: 0 is a whole record, 1, 2 and 3 are the first, a middle and the last part."""
    return MARK + struct.pack("<I", kind << 29 | len(data)) + data + bytes(-len(data) % 4)


def record(data: bytes) -> bytes:
    """Return a record as dmlc-core writes it: in several parts when its data contains the mark at a multiple of 4."""
    pieces, begin = [], 0
    for place in range(0, len(data) - 3, 4):
        if data[place : place + 4] == MARK:
            pieces.append(data[begin:place])
            begin = place + 4
    pieces.append(data[begin:])
    if len(pieces) == 1:
        return part(0, data)
    kinds = [1] + [2] * (len(pieces) - 2) + [3]
    return b"".join(part(kind, piece) for kind, piece in zip(kinds, pieces, strict=True))


def packed(photo: bytes, label: float | Sequence[float], number: int = 0) -> bytes:
    """Return a photo with im2rec's header; several labels are between the header and the photo."""
    if isinstance(label, Sequence):
        return struct.pack("<IfQQ", len(label), 0.0, number, 0) + struct.pack(f"<{len(label)}f", *label) + photo
    return struct.pack("<IfQQ", 0, label, number, 0) + photo


def write_records(path: Path, photos: Iterable[tuple[bytes, float]]) -> None:
    """Write photos and class numbers as im2rec does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(record(packed(photo, label, number)) for number, (photo, label) in enumerate(photos)))


def labelled(split: Path) -> list[tuple[bytes, float]]:
    """Return the photos of a folder of class folders, each with its class number. The classes take turns."""
    folders = sorted(entry for entry in split.iterdir() if entry.is_dir())
    photos = [
        (file.name, number, file.read_bytes()) for number, folder in enumerate(folders) for file in folder.iterdir()
    ]
    return [(data, float(number)) for _, number, data in sorted(photos)]
