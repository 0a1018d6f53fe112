"""Request bodies: a photo in many forms, and bodies that are not photos."""

import base64
import io
import json
import pickle
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

TYPES = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "application/x-image": "JPEG",
    "application/octet-stream": "JPEG",
}
SEGMENT = 65535  # the most bytes of a JPEG comment, including the two bytes of its length


def encoded(jpeg: bytes, kind: str) -> bytes:
    """Return the photo in another format."""
    target = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as photo:
        photo.convert("RGB").save(target, kind)
    return target.getvalue()


def enlarged(jpeg: bytes, width: int, height: int) -> bytes:
    """Return the photo in another size."""
    target = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as photo:
        photo.convert("RGB").resize((width, height)).save(target, "JPEG", quality=90)
    return target.getvalue()


def padded(jpeg: bytes, size: int) -> bytes:
    """Return the photo with comments between its header and its pixels, so that it has `size` bytes."""
    parts, left = [jpeg[:2]], size - len(jpeg)
    while left > 0:
        length = min(SEGMENT, max(left, 4) - 2)
        parts.append(b"\xff\xfe" + struct.pack(">H", length) + bytes(length - 2))
        left -= length + 2
    return b"".join([*parts, jpeg[2:]])


def huge_png(side: int = 60_000) -> bytes:
    """Return a small PNG whose header claims `side` times `side` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def instances(photos: Sequence[bytes]) -> bytes:
    """Return photos as one JSON request."""
    return json.dumps({"instances": [{"b64": base64.b64encode(photo).decode()} for photo in photos]}).encode()


class _Command:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (self.command,)


def pickled_npy(command: str) -> bytes:
    """Return a numpy file with one object, which runs a shell command when a program unpickles it."""
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header = header.ljust(-(-(len(header) + 11) // 64) * 64 - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + pickle.dumps(_Command(command))
