"""Image files made in memory, and the parts of them that a test puts together."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from classifier.spec import Preprocessing

PREPROCESSING = Preprocessing(resize=64, crop=48, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
UPRIGHT = np.zeros((60, 80, 3), np.uint8)
UPRIGHT[:30, :40] = (255, 0, 0)
UPRIGHT[:30, 40:] = (0, 255, 0)
UPRIGHT[30:, :40] = (0, 0, 255)
UPRIGHT[30:, 40:] = (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(seed: int) -> bytes:
    """Return a photo of coloured noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((200, 180)).save(buffer, "png")
    return buffer.getvalue()


def plain_tiff(image: Image.Image, orientation: int, order: str, tile: int = 0) -> bytes:
    """Return a TIFF without compression in either byte order, in one strip or in tiles of `tile` pixels."""
    pixels = np.asarray(image)
    height, width, _ = pixels.shape
    pieces = [pixels.tobytes()]
    if tile:
        padded = np.pad(pixels, ((0, -height % tile), (0, -width % tile), (0, 0)))
        pieces = [
            padded[top : top + tile, left : left + tile].tobytes()
            for top in range(0, height, tile)
            for left in range(0, width, tile)
        ]
    offsets = [8 + sum(map(len, pieces[:number])) for number in range(len(pieces))]
    values: dict[int, tuple[str, list[int]]] = {
        256: ("H", [width]), 257: ("H", [height]), 258: ("H", [8, 8, 8]), 259: ("H", [1]), 262: ("H", [2]),
        274: ("H", [orientation]), 277: ("H", [3]),
    }  # fmt: skip
    if tile:
        values |= {322: ("H", [tile]), 323: ("H", [tile])}
        values |= {324: ("I", offsets), 325: ("I", [len(piece) for piece in pieces])}
    else:
        values |= {273: ("I", offsets), 278: ("H", [height]), 279: ("I", [len(pieces[0])])}
    body, entries = b"".join(pieces), b""
    for tag, (form, numbers) in sorted(values.items()):
        packed = struct.pack(f"{order}{len(numbers)}{form}", *numbers)
        if len(packed) > 4:
            packed, body = struct.pack(order + "I", 8 + len(body)), body + packed
        entries += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[form], len(numbers)) + packed.ljust(4, b"\0")
    head = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "I", 8 + len(body))
    return head + body + struct.pack(order + "H", len(values)) + entries + bytes(4)


def with_tag(data: bytes, order: str, tag: int, kind: int, count: int, value: int) -> bytes:
    """Return a TIFF with one more tag, wherever it points; its directory is written anew at its end."""
    (start,) = struct.unpack_from(order + "I", data, 4)
    (length,) = struct.unpack_from(order + "H", data, start)
    entries = [data[start + 2 + 12 * number :][:12] for number in range(length)]
    entries.append(struct.pack(order + "HHII", tag, kind, count, value))
    entries.sort(key=lambda entry: struct.unpack(order + "H", entry[:2])[0])
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack(order + "I", len(data)) + data[8:] + directory


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
