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
    """Return an image as a file of this format."""
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
    """Return a TIFF with one more tag, whose value may point anywhere. The new directory is at the end of the file."""
    (start,) = struct.unpack_from(order + "I", data, 4)
    (length,) = struct.unpack_from(order + "H", data, start)
    entries = [data[start + 2 + 12 * number :][:12] for number in range(length)]
    entries.append(struct.pack(order + "HHII", tag, kind, count, value))
    entries.sort(key=lambda entry: struct.unpack(order + "H", entry[:2])[0])
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack(order + "I", len(data)) + data[8:] + directory


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    """Return a chunk of a PNG, with its checksum or with another one."""
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG's metadata."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def png(width: int, height: int, data: bytes = b"", comments: int = 0) -> bytes:
    """Return a grey PNG whose header names any size, with any number of empty comments."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + chunk(b"zzZz", b"") * comments
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def gif_blocks(count: int) -> bytes:
    """Return a GIF of 8 x 8 pixels whose comment consists of blocks of one byte."""
    whole = encoded(Image.new("L", (8, 8)), "gif")
    place = 13 + (3 << (whole[10] & 7) + 1)
    return whole[:place] + b"!\xfe" + b"\1?" * count + b"\0" + whole[place:]


def avif_hidden(width: int, height: int) -> bytes:
    """Return an AVIF whose header names 8 x 8 pixels and whose frame has another size."""
    size, told = struct.pack(">II", width, height), struct.pack(">II", 8, 8)
    return encoded(Image.new("L", (width, height)), "avif", speed=10).replace(size, told)


def webp_canvas(width: int, height: int, frame: bytes) -> bytes:
    """Return an animated WebP of one small frame on a canvas of any size; `frame` is a WebP file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def three(number: int) -> bytes:
        return number.to_bytes(3, "little")

    head = chunk(b"VP8X", bytes([2, 0, 0, 0]) + three(width - 1) + three(height - 1))
    shown = three(0) * 2 + three(7) * 2 + three(100) + b"\0" + frame[12:]
    content = b"WEBP" + head + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", shown)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def tiff_directory(entries: int, blob: int) -> bytes:
    """Return a TIFF of many tags that all name the same bytes. Read one by one, they are `entries * blob` bytes."""
    start = 8 + blob
    tags = {
        256: (3, 1, 8),
        257: (3, 1, 8),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 8),
        279: (4, 1, 64),
    }
    tags |= {tag: (7, blob, 8) for tag in range(0x8000, 0x8000 + entries)}
    packed = b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", start) + bytes(blob) + struct.pack("<H", len(tags)) + packed + bytes(4)


def tiff_strips(count: int, tags: int = 0) -> bytes:
    """Return a BigTIFF of 8 x 8 pixels that names its one strip any number of times, after any number of other tags."""
    table = 16 + 8 + (8 + tags) * 20 + 8
    entries = [(254, 4, 1, 0)] * tags
    entries += [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, count, table), (278, 3, 1, 1), (279, 4, count, table)]
    packed = b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(entries)) + packed + bytes(8) + struct.pack("<I", 8) * count


def bmp_run_length(width: int, height: int) -> bytes:
    """Return a BMP with run-length compression that holds one pixel. An end-of-line mark replaces all other pixels."""
    data = b"\1\1\0\0\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    start = 14 + len(head) + 1024
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + bytes(1024) + data


def jpeg_with(segments: bytes, scans: int, photo: bytes) -> bytes:
    """Return a JPEG with more metadata after its first marker, and its last scan repeated."""
    last = photo.rindex(b"\xff\xda")
    return photo[:2] + segments + photo[2:-2] + photo[last:-2] * scans + photo[-2:]
