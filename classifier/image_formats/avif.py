"""AVIF: count the pixels that the coded frames really have, and repair damaged EXIF (ISO/IEC 14496-12, 23008-12; AV1, 5.5)."""

import struct
from collections.abc import Callable, Iterator

from classifier.errors import PhotoError

_SEQUENCE, _HAS_SIZE, _EXTENDED = 1, 2, 4  # a kind of OBU (AV1's unit of data), and two flags in its header
_MOST_ITEMS = 4096  # items are cells of a grid, transparency and thumbnails
_HEADER = 512  # how many bytes of a sequence header are read


def limit_frames(data: bytes, most: int) -> None:
    """Raise PhotoError for an AVIF whose coded frames have more than `most` pixels in total.

    The decoder allocates and decodes these frames whatever size the file's header states: 40 megapixels behind a header
    of 8 x 8 took 1 s.
    """
    if not is_avif(data):
        return
    total = 0
    try:
        for item in _items(data):
            total += _pixels(item)
            if total > most:
                raise PhotoError(
                    f"an AVIF image with frames of more than {most:,} pixels is not decoded; save it as JPEG"
                )
    except (struct.error, IndexError, ValueError):  # truncated or invalid: the decoder's own error says more
        return


def is_avif(data: bytes) -> bool:
    """Return whether Pillow would try to read the data as AVIF."""
    return data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis", b"mif1", b"msf1")


def first_frame(data: bytes) -> bytes:
    """Return an AVIF sequence marked as a still image, so that the decoder reads its first frame only."""
    return data if data[8:12] == b"avif" else data[:8] + b"avif" + data[12:]


def mended(data: bytes) -> bytes | None:
    """Return an AVIF without EXIF, which Pillow may fail on; None when it has no EXIF.

    The orientation is not lost: an AVIF stores it outside of EXIF.
    """
    if not is_avif(data):
        return None
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"meta":
            whole = data[:start] + data[start:end].replace(b"Exif", b"none") + data[end:]
            return whole if whole != data else None
    return None


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each box, and where its content begins and ends."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        stop = start + size if size else end
        if stop < content or stop > end:
            return
        yield kind, content, stop
        start = stop


def _items(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of each item of the first `meta` box; raises PhotoError for more than _MOST_ITEMS items."""
    meta = next(((start, end) for kind, start, end in _boxes(data, 0, len(data)) if kind == b"meta"), None)
    if meta is None:
        return
    inner = {kind: (start, end) for kind, start, end in _boxes(data, meta[0] + 4, meta[1])}
    if b"iloc" not in inner:
        return
    place = inner[b"iloc"][0]
    version = data[place]
    sizes = struct.unpack_from(">H", data, place + 4)[0]
    wide = [
        sizes >> 12 & 15,
        sizes >> 8 & 15,
        sizes >> 4 & 15,
        sizes & 15 if version else 0,
    ]  # offset, length, base, index
    place += 6

    def number(size: int) -> int:
        nonlocal place
        if place + size > len(data):
            raise ValueError("cut short")
        place += size
        return int.from_bytes(data[place - size : place], "big")

    count = number(4 if version == 2 else 2)
    if count > _MOST_ITEMS:
        raise PhotoError(f"an AVIF image of {count:,} parts is not decoded; save it as JPEG")
    for _ in range(count):
        number(4 if version == 2 else 2)  # the item's number
        inside = bool(version and number(2) & 15 == 1)
        number(2)  # the file's number
        base = number(wide[2]) + (inner.get(b"idat", (0, 0))[0] if inside else 0)
        parts = []
        for _ in range(number(2)):
            number(wide[3])
            offset, length = base + number(wide[0]), number(wide[1])
            parts.append(data[offset : offset + length] if length else data[offset:])
        yield b"".join(parts)


def _pixels(item: bytes) -> int:
    """Return the pixels of the largest sequence header in an item's AV1 stream; 0 when it is not an AV1 stream."""
    total = place = 0
    while place + 1 < len(item):
        head = item[place]
        place += 2 if head & _EXTENDED else 1
        if head & 0x80 or not head & _HAS_SIZE:
            size = len(item) - place
        else:
            size, place = _leb128(item, place)
        if head >> 3 & 15 == _SEQUENCE and not head & 0x80:
            total = max(total, _frame(item[place : place + min(size, _HEADER)]))
        place += size
    return total


def _leb128(item: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        byte = item[place] if place < len(item) else 0
        value |= (byte & 0x7F) << shift
        place += 1
        if not byte & 0x80:
            break
    return value, place


def _frame(header: bytes) -> int:
    """Return the pixels of the largest frame that a sequence header allows (AV1, 5.5.1)."""
    bits, place = int.from_bytes(header, "big"), 8 * len(header)  # `place` counts the bits that are left

    def number(count: int) -> int:
        nonlocal place
        place -= count
        if place < 0:  # truncated; the decoder will refuse it
            return 0
        return bits >> place & ((1 << count) - 1)

    number(4)
    if number(1):  # a header for one still image
        number(5)
    else:
        _skip_points(number)
    wide, high = number(4) + 1, number(4) + 1
    return (number(wide) + 1) * (number(high) + 1)


def _skip_points(number: Callable[[int], int]) -> None:
    """Skip the timing and the operating points of a sequence header (AV1, 5.5.1)."""
    model = length = 0
    if number(1):  # timing
        number(64)
        if number(1):  # equal picture intervals, followed by an exponential-Golomb number
            zeros = 0
            while zeros < 32 and not number(1):
                zeros += 1
            number(zeros if zeros < 32 else 0)
        model = number(1)
        if model:
            length = number(5) + 1
            number(42)
    delays = number(1)
    for _ in range(number(5) + 1):
        number(12)
        if number(5) > 7:
            number(1)
        if model and number(1):
            number(2 * length + 1)
        if delays and number(1):
            number(4)
