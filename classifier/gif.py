"""GIFs whose first image lies behind odd, large or very many extensions (GIF89a, 23 to 26)."""

import re

from classifier.errors import PhotoError

_EXTENSION, _CONTROL, _CONTROL_LENGTH = 0x21, 0xF9, 4
_BLOCK = re.compile(rb"[!,;]")
# Pillow takes what lies between block by block and byte by byte: 1,000,000 blocks, 2 MB, took it 0.5 s.
_MOST, _LONG, _PADDING = 10_000, 64, 65_536


def still(data: bytes) -> bytes:
    """Return a GIF without what lies before its first image, but for how that is transparent.

    Raises PhotoError when that is more than any photo has.
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
                raise PhotoError(f"a GIF of more than {count - 1:,} blocks is not decoded; save the photo anew")
        place += 1
        if data[begin + 1 : begin + 3] == bytes([_CONTROL, _CONTROL_LENGTH]):
            control = data[begin:place]
    if place + _PADDING < len(data):
        raise PhotoError("a GIF with long gaps between its blocks is not decoded; save the photo anew")
    return data
