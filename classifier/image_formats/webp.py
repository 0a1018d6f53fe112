"""WebP: repair damaged metadata and wrong sizes."""

import struct

_PIXELS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")


def mended(data: bytes) -> bytes | None:
    """Return a WebP that holds only pixels, EXIF and XMP, with correct sizes; None when nothing changes."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    kept, place = [], 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        end = place + 8 + size
        if end > len(data):
            if kind in _PIXELS:
                return None
            # Truncated metadata may still hold the orientation.
            end, size = len(data), len(data) - place - 8
        if kind in (*_PIXELS, b"EXIF", b"XMP "):
            kept.append(struct.pack("<4sI", kind, size) + data[place + 8 : end] + bytes(size % 2))
        place = end + size % 2
    content = b"WEBP" + b"".join(kept)
    whole = b"RIFF" + struct.pack("<I", len(content)) + content
    return whole if whole != data else None
