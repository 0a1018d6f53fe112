"""GIF: skip the extensions before the first image, which may be damaged, large or very many (GIF89a, sections 23 to 26)."""

import re

from classifier.errors import PhotoError

_EXTENSION, _CONTROL, _CONTROL_LENGTH = 0x21, 0xF9, 4
_BLOCK = re.compile(rb"[!,;]")
# A GIF may have _MOST blocks and one more for each _LONG bytes, and gaps between blocks of less than _PADDING bytes.
# Pillow reads extensions block by block and gaps byte by byte: 1,000,000 blocks (2 MB) took 0.5 s.
_MOST, _LONG, _PADDING = 10_000, 64, 65_536


def still(data: bytes) -> bytes:
    """Return a GIF without the extensions before its first image, except the one that says which colour is transparent.

    Data that is not a GIF comes back unchanged. Raises PhotoError for more blocks or longer gaps than any photo has.
    """
    if not data.startswith((b"GIF87a", b"GIF89a")) or len(data) < 13:
        return data
    start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    place, count, control = start, 0, b""
    while match := _BLOCK.search(data, place, place + _PADDING):
        begin = place = match.start()
        if data[begin] != _EXTENSION:
            whole = data[:start] + control + data[begin:]
            return whole if len(whole) < len(data) else data
        place += 2
        while place < len(data) and data[place]:
            place += 1 + data[place]
            count += 1
            if count > _MOST + place // _LONG:
                raise PhotoError(f"a GIF of more than {count - 1:,} blocks is not decoded; save the photo again")
        place += 1
        if data[begin + 1 : begin + 3] == bytes([_CONTROL, _CONTROL_LENGTH]):
            control = data[begin:place]
    if place + _PADDING < len(data):
        raise PhotoError("a GIF with long gaps between its blocks is not decoded; save the photo again")
    return data
