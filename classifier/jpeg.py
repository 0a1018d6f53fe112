"""JPEGs that take far more time than their size tells: those of many scans or of hundreds of segments."""

import collections
import re
from collections.abc import Iterator

from classifier.errors import PhotoError

# A progressive JPEG has about ten scans, and metadata in a few segments. Each scan costs a pass over all pixels, however
# short it is in the file: 50 of them in 8 kB took 3.5 s at 110 megapixels. Pillow copies all EXIF before a further piece:
# 760 of 64 kB took 8 s. 5,000,000 empty segments of any kind, 20 MB, took it 8 s; what is long costs 0.04 s a megabyte.
_MOST = {"scans": 64, "EXIF segments": 500, "segments": 500}
_LONG = 32_768  # bytes of the file for each further segment: what makes a file large holds up to 65,535 in each
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # but those that lie within a scan: \xff\x00 and restarts
_END_OF_IMAGE, _START_OF_SCAN, _EXIF = 0xD9, 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers that nothing follows, not even a length
_PADDING = 65_536  # bytes between two segments; 8,000,000 of them took 2.4 s
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC3, 0xC9})


def limit_segments(data: bytes) -> None:
    """Refuse a JPEG that takes far more time than its size tells; raises PhotoError."""
    if not data.startswith(b"\xff\xd8"):
        return
    found = collections.Counter[str]()
    several = components = 0
    for marker, start in _markers(data):
        kind = {_START_OF_SCAN: "scans", _EXIF: "EXIF segments"}.get(marker, "segments")
        found[kind] += 1
        most = _MOST[kind] + (start // _LONG if kind == "segments" else 0)
        if found[kind] > most:
            raise PhotoError(f"a JPEG of more than {most} {kind} is not decoded; save the photo anew")
        if marker in _FRAMES:
            several, components = int(marker not in _SEQUENTIAL), _byte(data, start + 7)
        # Only then does the decoder read further scans. Counting bytes is quicker than reading markers, but counts those
        # of metadata, and of what follows the image, too.
        if marker == _START_OF_SCAN and not (
            (several or _byte(data, start + 2) < components) and data.count(b"\xff\xda", start) > _MOST["scans"] // 2
        ):
            return


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Find the markers of a JPEG and where what follows each begins, up to the end of an image that has begun."""
    position, begun = 2, False
    while match := _MARKER.search(data, position):
        marker = match[0][1]
        if marker == _END_OF_IMAGE and begun:
            return
        begun = begun or marker == _START_OF_SCAN
        if match.start() - position > _PADDING and not begun:  # Pillow takes it byte by byte
            raise PhotoError("a JPEG with long gaps between its segments is not decoded; save the photo anew")
        position = match.end()
        yield marker, position
        if marker not in _ALONE:
            position += int.from_bytes(data[position : position + 2], "big")


def _byte(data: bytes, position: int) -> int:
    return data[position] if position < len(data) else 0
