"""Reads the statistics of the tensors in one event file of smdebug, the library behind SageMaker's Debugger.

The file is a sequence of records in TensorBoard's format: 8 bytes with the length of the content, the checksum of these bytes, the
content, and the checksum of the content. A checksum is a masked CRC-32C in 4 bytes. By default, smdebug writes the checksum of a
constant text instead of that of the content. The content is a protocol buffer, TensorFlow's message Event. The numbers of its
fields come from tensorflow/core/util/event.proto and from the messages that this file imports.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from reports.sources.smdebug_wire import Damaged, fields, message, number, text

CONSTANT = b"0x12345678"  # smdebug writes the checksum of this text instead of that of the content
MOST = 64 * 2**20  # bytes; a larger record counts as damage
TYPES = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    5: "<i2",
    6: "i1",
    9: "<i8",
    10: "?",
    17: "<u2",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}
GLOBAL = 4  # smdebug's number for a mode that was not set; the others are 1: TRAIN, 2: EVAL, 3: PREDICT


@dataclass(frozen=True, kw_only=True)
class SavedTensor:
    """Statistics of one tensor at one step. `step` counts the steps of all modes, `mode_step` those of the mode `mode`."""

    name: str
    mode: int
    step: int
    mode_step: int
    mean: float
    std: float
    least: float
    most: float
    share_zero: float


def saved_tensors(path: Path) -> Iterator[SavedTensor]:
    """Yield the tensors of a file. Raises Damaged if the file is cut off or not an event file, OSError if it cannot be read."""
    with path.open("rb") as file:
        while content := _record(file):
            yield from _event(content)


def _record(file: BinaryIO) -> bytes | None:
    """Return the content of the next record; None at the end of the file. Raises Damaged."""
    head = file.read(12)
    if not head:
        return None
    if len(head) < 12:
        raise Damaged("it is cut off")
    length, checksum = struct.unpack("<QI", head)
    if checksum != masked_crc(head[:8]):
        raise Damaged("a checksum is wrong")
    if length > MOST:
        raise Damaged(f"a record is longer than {MOST // 2**20} MB")
    content, rest = file.read(length), file.read(4)
    if len(content) < length or len(rest) < 4:
        raise Damaged("it is cut off")
    (checksum,) = struct.unpack("<I", rest)
    if checksum != masked_crc(CONSTANT) and checksum != masked_crc(content):
        raise Damaged("a checksum is wrong")
    return content


def _event(content: bytes) -> Iterator[SavedTensor]:
    event = fields(content)
    step = number(event, 2)
    for summary in event.get(5, []):
        for value in fields(message(summary)).get(1, []):
            held = fields(message(value))
            if 8 in held:
                yield _saved(held, step)


def _saved(held: dict[int, list[int | bytes]], step: int) -> SavedTensor:
    plugins = {}
    for metadata in held.get(9, []):
        for plugin in fields(message(metadata)).get(1, []):
            named = fields(message(plugin))
            plugins[text(named, 1)] = text(named, 2)
    try:
        mode, mode_step = int(plugins.get("mode", GLOBAL)), int(plugins.get("mode_step", step))
    except ValueError as error:
        raise Damaged("its mode or step is not a number") from error
    values = _values(fields(message(held[8][0])))
    with np.errstate(all="ignore"):  # infinite and undefined values are kept, because rules look for them
        return SavedTensor(
            name=text(held, 1),
            mode=mode,
            step=step,
            mode_step=mode_step,
            mean=float(values.mean()),
            std=float(values.std()),
            least=float(values.min()),
            most=float(values.max()),
            share_zero=float((values == 0).mean()),
        )


def _values(tensor: dict[int, list[int | bytes]]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    kind = TYPES.get(number(tensor, 1))
    content = message(tensor.get(4, [b""])[0])
    if kind is None:
        raise Damaged("the values of a tensor are not numbers")
    if not content or len(content) % np.dtype(kind).itemsize:
        raise Damaged("a tensor has no values, or its last value is cut off")
    return np.frombuffer(content, dtype=kind).astype(np.float64)


def masked_crc(data: bytes) -> int:
    """Return the masked checksum of a record as in TensorFlow's record_writer.cc: a CRC-32C, rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> list[int]:
    """Return the table of the CRC-32C, whose polynomial is 0x82F63B78 (Castagnoli, reflected)."""
    found = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return found


_TABLE = _table()
