"""PNGs whose pixels are sound and whose metadata is not, and how many bits of a sample are meant."""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from classifier.errors import PhotoError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Pillow calls Python for each chunk: 200,000 empty ones, 2.4 MB, took it 1.2 s. Programs write pixels 8 kB at a time.
_MOST, _LONG = 10_000, 4096
# Texts that may tell the orientation; Pillow unpacks no more than 1 MB of each.
_PROFILE, _XMP, _MOST_TEXT = b"Raw profile type exif\0", b"XML:com.adobe.xmp\0", 2**20
_LEAST_TRANSPARENCY = {0: 2, 2: 6}  # bytes by kind of colour; in a palette any number


def limit_chunks(data: bytes) -> None:
    """Refuse a PNG of more chunks than any photo has; raises PhotoError."""
    if not data.startswith(_SIGNATURE):
        return
    most = _MOST + len(data) // _LONG
    for count, _ in enumerate(_chunks(data), 1):
        if count > most:
            raise PhotoError(f"a PNG of more than {most:,} chunks is not decoded; save the photo anew")


def scale_key(image: Image.Image, data: bytes) -> None:
    """Bring the colour that a PNG calls transparent to 8 bits, as Pillow brings its samples: of 16 bits the upper ones."""
    key, bits = image.info.get("transparency"), data[24] if data.startswith(_SIGNATURE) else 8
    if image.mode == "L" and bits in (2, 4) and isinstance(key, int):
        image.info["transparency"] = (key % 2**bits) * 255 // (2**bits - 1)
    if image.mode == "RGB" and bits == 16 and isinstance(key, tuple):
        image.info["transparency"] = tuple(part >> 8 for part in key)


def significant_bits(data: bytes) -> int | None:
    """Return how many bits of a sample of 16 a PNG says that it uses (sBIT), or None."""
    for kind, content in _chunks(data):
        if kind == b"sBIT" and len(content) > 0:
            return content[0] if 8 <= content[0] < 16 else None
        if kind == b"IDAT":
            break
    return None


def mended(data: bytes) -> bytes | None:
    """Return a PNG without the metadata that Pillow may stumble over, or None when it has none.

    What is left is what pixels, their depth, transparency and orientation depend on, as long as its checksum is right.
    """
    if not data.startswith(_SIGNATURE):
        return None
    colour = data[25] if len(data) > 25 else 0
    kept = [memoryview(data)[:8]]
    end = 8
    for kind, content in _chunks(data):
        start, end = end, end + 12 + len(content)
        if kind[0] & 0x20 and not _needed(kind, content, colour):
            continue
        if kind[0] & 0x20 and zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(data[end - 4 : end], "big"):
            continue
        kept.append(memoryview(data)[start:end])
        if kind == b"IEND":
            break
    else:
        # What is not whole: pixels that are cut off, which Pillow refuses, or metadata, which it need not see.
        if data[end + 4 : end + 8] == b"IDAT":
            kept.append(memoryview(data)[end:])
    whole = b"".join(kept)
    return whole if len(whole) < len(data) else None


def _needed(kind: bytes, content: memoryview, colour: int) -> bool:
    if kind == b"tRNS":
        return len(content) >= _LEAST_TRANSPARENCY.get(colour, 0)
    start = bytes(content[: len(_PROFILE) + 1])
    if kind == b"tEXt":
        return start.startswith(_PROFILE)
    if kind == b"zTXt":
        return start == _PROFILE + b"\0" and _unpacks(content[len(start) :])
    if kind == b"iTXt" and start.startswith(_XMP + b"\1\0"):
        return _unpacks(bytes(content).split(b"\0", 4)[-1])
    return kind in (b"eXIf", b"sBIT") or (kind == b"iTXt" and start.startswith(_XMP + b"\0"))


def _unpacks(text: bytes | memoryview) -> bool:
    """Say whether Pillow unpacks a compressed text: it stops at one that is damaged or longer."""
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(text, _MOST_TEXT)
    except zlib.error:
        return False
    return not unpacker.unconsumed_tail


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the kind and the content of each chunk of a PNG that is whole."""
    if not data.startswith(_SIGNATURE):
        return
    view, place = memoryview(data), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if place + 12 + length > len(data):
            return
        yield data[place + 4 : place + 8], view[place + 8 : place + 8 + length]
        place += 12 + length
