"""JPEG: refuse files that take far more time than their size suggests, and repair damaged metadata and missing ends."""

import collections
import hashlib
import io
import re
from collections.abc import Iterator

from PIL import Image

from classifier.errors import PhotoError
from classifier.image_formats import tiff

# A normal progressive JPEG has about ten scans, and its metadata fills a few segments. Measured costs of files beyond that:
# - Each scan is a pass over all pixels, however few bytes it has: 50 scans in 8 kB took 3.5 s at 110 megapixels.
# - Pillow copies all EXIF data for each further EXIF segment: 760 segments of 64 kB took 8 s.
# - Pillow reads segments one by one: 5,000,000 empty segments (20 MB) took 8 s. Long segments cost 0.04 s a megabyte.
_MOST = {"scans": 64, "EXIF segments": 500, "segments": 500}
# One more segment is allowed per this many bytes, since large files fill up to 65,535 bytes in each segment.
_LONG = 32_768
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # markers except \xff\x00 and restarts, which occur within a scan
_END_OF_IMAGE, _START_OF_SCAN, _EXIF = 0xD9, 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a length and content
_PADDING = 65_536  # bytes allowed between two segments; 8,000,000 took Pillow 2.4 s
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC3, 0xC9})
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})  # APP0 to APP15 and comments
# The two metadata segments that decide the colours (APP0 and APP14), with their beginning and their smallest length in bytes.
_COLOURS = {0xE0: (b"JFIF\0", 16), 0xEE: (b"Adobe", 14)}
_ORIENTATION, _XMP = 0x0112, b"http://ns.adobe.com/xap/1.0/\0"
# A JPEG without its end is decoded twice, to check for missing pixels. This takes 1.2 s for a progressive JPEG with this many pixels.
_MOST_WITHOUT_END = 40_000_000
_END = b"\xff\xd9"


def limit_segments(data: bytes) -> None:
    """Raise PhotoError for a JPEG that has too many scans or segments, or long gaps between segments."""
    if not data.startswith(b"\xff\xd8"):
        return
    found = collections.Counter[str]()
    several = components = 0
    for marker, start in _markers(data):
        kind = {_START_OF_SCAN: "scans", _EXIF: "EXIF segments"}.get(marker, "segments")
        found[kind] += 1
        most = _MOST[kind] + (start // _LONG if kind == "segments" else 0)
        if found[kind] > most:
            raise PhotoError(f"a JPEG of more than {most} {kind} is not decoded; save the photo again")
        if marker in _FRAMES:
            several, components = int(marker not in _SEQUENTIAL), _byte(data, start + 7)
        # The decoder reads further scans only in a progressive frame, or when the first scan lacks components. Counting
        # the bytes \xff\xda is faster than reading markers. It counts too many: those in metadata and after the end.
        if marker == _START_OF_SCAN and found["scans"] == 1:
            further = several or _byte(data, start + 2) < components
            if not further or data.count(b"\xff\xda", start) < _MOST["scans"]:
                return


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker of a JPEG and the position after it, up to the end of the image.

    Raises PhotoError when there is a long gap between two segments before the first scan.
    """
    position, begun = 2, False
    while match := _MARKER.search(data, position):
        marker = match[0][1]
        if marker == _END_OF_IMAGE and begun:
            return
        begun = begun or marker == _START_OF_SCAN
        if match.start() - position > _PADDING and not begun:  # Pillow reads a gap byte by byte
            raise PhotoError("a JPEG with long gaps between its segments is not decoded; save the photo again")
        position = match.end()
        yield marker, position
        if marker not in _ALONE:
            position += int.from_bytes(data[position : position + 2], "big")


def _byte(data: bytes, position: int) -> int:
    return data[position] if position < len(data) else 0


def mended(data: bytes) -> bytes | None:
    """Return a JPEG without the metadata that Pillow may fail on, and with an end; None when nothing changes.

    The orientation is kept. The end is added only when nothing else is missing.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    kept, done = [b"\xff\xd8"], 2
    for marker, start in _markers(data):
        if marker == _START_OF_SCAN:
            break
        if marker not in _METADATA:
            continue
        end = start + int.from_bytes(data[start : start + 2], "big")
        kept += [data[done : start - 2], _mended_segment(marker, data[start - 2 : end])]
        done = end
    whole = ended(b"".join([*kept, data[done:]]))
    return whole if whole != data else None


def ended(data: bytes) -> bytes:
    """Return a JPEG with the end marker that it may lack; any other data comes back unchanged.

    Raises PhotoError when pixels are missing too, and Pillow's errors for damaged metadata.
    Trap: the decoder often takes zeros for as many valid pixels as are missing, so a JPEG that ends in zeros decodes.
    """
    if not data.startswith(b"\xff\xd8") or data.endswith(_END):
        return data
    scan = next((start for marker, start in _markers(data) if marker == _START_OF_SCAN), None)
    if scan is None or data.rfind(_END, scan) >= 0:
        return data
    # Keep one of the zeros at the end: it may belong to the last pixels.
    whole = data[: len(data.rstrip(b"\0")) + 1].rstrip(b"\xff")
    if not _complete(whole):
        raise PhotoError("damaged image: its end is missing, and pixels with it; copy or download it again")
    return whole + _END


def _mended_segment(marker: int, segment: bytes) -> bytes:
    """Return the part of a metadata segment, with its marker, that pixels and orientation depend on; empty if there is no such part."""
    if marker == _EXIF and segment[4:].startswith(_XMP):
        return segment if b"tiff:Orientation" in segment else b""
    if marker in _COLOURS:
        start, least = _COLOURS[marker]
        return segment if segment[4:].startswith(start) and len(segment) >= least + 2 else b""
    is_exif = marker == _EXIF and segment[4:].startswith(b"Exif\0\0")
    orientation = tiff.orientation(segment[10:]) if is_exif else None
    if orientation not in range(65_536):
        return b""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    content = exif.tobytes()
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content


def _complete(data: bytes) -> bool:
    """Return whether a JPEG without its end has all of its pixels: bytes added before a new end then change none."""
    if not _refined(data):
        return False
    found = set()
    for more in (b"", hashlib.sha512(data[:64]).digest().replace(b"\xff", b"")):
        image = Image.open(io.BytesIO(data + more + _END), formats=["JPEG"])
        if image.width * image.height > _MOST_WITHOUT_END:
            raise PhotoError(
                f"a JPEG of {image.width} x {image.height} pixels without its end is not decoded; save the photo again"
            )
        found.add(hashlib.sha256(image.tobytes()).digest())
    return len(found) == 1


def _refined(data: bytes) -> bool:
    """Return whether the scans hold every coefficient of every component to its last bit (ITU-T T.81, annex G)."""
    progressive, wanted, last = False, set[int](), dict[tuple[int, int], int]()
    for marker, start in _markers(data):
        if marker in _FRAMES:
            progressive = marker not in _SEQUENTIAL
            wanted = set(data[start + 8 : start + 8 + 3 * _byte(data, start + 7) : 3])
        if marker == _START_OF_SCAN:
            count = _byte(data, start + 2)
            first, most, bits = data[start + 3 + 2 * count : start + 6 + 2 * count].ljust(3, b"\xff")
            for component in data[start + 3 : start + 3 + 2 * count : 2]:
                last |= {(component, index): bits & 15 for index in range(first, min(most, 63) + 1)}
    full = 64 if progressive else 1
    return bool(wanted) and all(last.get((component, index)) == 0 for component in wanted for index in range(full))
