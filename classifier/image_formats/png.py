"""PNG: refuse files of too many chunks, repair damaged metadata, and find the number of used bits in a sample."""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from classifier.errors import PhotoError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# A PNG may have _MOST chunks and one more for each _LONG bytes; programs write about 8 kB of pixels into a chunk.
# Pillow calls Python for each chunk: 200,000 empty ones (2.4 MB) took 1.2 s.
_MOST, _LONG = 10_000, 4096
# Text chunks that may hold the orientation. Pillow decompresses at most 1 MB of each.
_PROFILE, _XMP, _MOST_TEXT = b"Raw profile type exif\0", b"XML:com.adobe.xmp\0", 2**20
_LEAST_TRANSPARENCY = {0: 2, 2: 6}  # least bytes of tRNS by colour type (0: grey, 2: RGB); a palette's may be shorter


def limit_chunks(data: bytes) -> None:
    """Raise PhotoError for a PNG of more chunks than any photo has."""
    if not data.startswith(_SIGNATURE):
        return
    most = _MOST + len(data) // _LONG
    for count, _ in enumerate(_chunks(data), 1):
        if count > most:
            raise PhotoError(f"a PNG of more than {most:,} chunks is not decoded; save the photo again")


def scale_key(image: Image.Image, data: bytes) -> None:
    """Scale the transparent colour of a PNG to 8 bits, as Pillow scales the samples: of 16 bits it keeps the upper 8."""
    key, bits = image.info.get("transparency"), data[24] if data.startswith(_SIGNATURE) else 8
    if image.mode == "L" and bits in (2, 4) and isinstance(key, int):
        image.info["transparency"] = (key % 2**bits) * 255 // (2**bits - 1)
    if image.mode == "RGB" and bits == 16 and isinstance(key, tuple):
        image.info["transparency"] = tuple(part >> 8 for part in key)


def significant_bits(data: bytes) -> int | None:
    """Return how many bits of its 16-bit samples a PNG uses, as its chunk sBIT says; None without a valid sBIT."""
    for kind, content in _chunks(data):
        if kind == b"sBIT" and len(content) > 0:
            return content[0] if 8 <= content[0] < 16 else None
        if kind == b"IDAT":
            break
    return None


def mended(data: bytes) -> bytes | None:
    """Return a PNG without the metadata that Pillow may fail on; None when nothing changes.

    Chunks that decide pixels, depth, transparency or orientation are kept if their checksum is right.
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
        # The last chunk is incomplete. Keep it if it holds pixels, so that Pillow refuses the file; drop metadata.
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
    """Return whether Pillow can decompress a text; it fails on damaged text and on more than _MOST_TEXT bytes."""
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(text, _MOST_TEXT)
    except zlib.error:
        return False
    return not unpacker.unconsumed_tail


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the type and content of each complete chunk; nothing for data that is not a PNG."""
    if not data.startswith(_SIGNATURE):
        return
    view, place = memoryview(data), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if place + 12 + length > len(data):
            return
        yield data[place + 4 : place + 8], view[place + 8 : place + 8 + length]
        place += 12 + length
