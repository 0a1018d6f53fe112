"""JPEGs that take far more time than their size tells, and those whose pixels are sound and whose metadata or end is not."""

import collections
import hashlib
import io
import re
from collections.abc import Iterator

from PIL import Image

from classifier import tiff
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
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})  # APP0 to APP15 and comments
# What decides the colours: beginnings of APP0 and APP14, and how long these segments are at least.
_COLOURS = {0xE0: (b"JFIF\0", 16), 0xEE: (b"Adobe", 14)}
_ORIENTATION, _XMP = 0x0112, b"http://ns.adobe.com/xap/1.0/\0"
# Whether anything but the end is missing is found by decoding twice: 1.2 s for a progressive JPEG of so many pixels.
_MOST_WITHOUT_END = 40_000_000
_END = b"\xff\xd9"


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
        # Only of such a frame does the decoder read further scans. Counting bytes is quicker than reading markers, but
        # counts those of metadata, and of what follows the image, too.
        if marker == _START_OF_SCAN and found["scans"] == 1:
            further = several or _byte(data, start + 2) < components
            if not further or data.count(b"\xff\xda", start) < _MOST["scans"]:
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


def mended(data: bytes) -> bytes | None:
    """Return a JPEG without the metadata that Pillow may stumble over and with an end, or None when that changes nothing.

    The orientation stays. A JPEG gets its end only if nothing else is missing.
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
    """Return a JPEG with an end; raises PhotoError when more than that is missing, or what Pillow raises for its metadata.

    Trap: zeros in place of pixels are often a code that the decoder takes for pixels, as many as are missing.
    """
    if not data.startswith(b"\xff\xd8") or data.endswith(_END):
        return data
    scan = next((start for marker, start in _markers(data) if marker == _START_OF_SCAN), None)
    if scan is None or data.rfind(_END, scan) >= 0:
        return data
    # One zero may belong to the last pixels.
    whole = data[: len(data.rstrip(b"\0")) + 1].rstrip(b"\xff")
    if not _complete(whole):
        raise PhotoError("damaged image: its end is missing, and pixels with it; copy or download it anew")
    return whole + _END


def _mended_segment(marker: int, segment: bytes) -> bytes:
    """Return a segment of metadata, marker included, as far as pixels and orientation depend on it."""
    if marker == _EXIF and segment[4:].startswith(_XMP):
        return segment if b"tiff:Orientation" in segment else b""
    if marker in _COLOURS:
        start, least = _COLOURS[marker]
        return segment if segment[4:].startswith(start) and len(segment) >= least + 2 else b""
    is_exif = marker == _EXIF and segment[4:].startswith(b"Exif\0\0")
    told = tiff.orientation(segment[10:]) if is_exif else None
    if told not in range(65_536):
        return b""
    upright = Image.Exif()
    upright[_ORIENTATION] = told
    content = upright.tobytes()
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content


def _complete(data: bytes) -> bool:
    """Say whether a JPEG without its end has all of its pixels: then what is put before the end changes none of them."""
    if not _refined(data):
        return False
    found = set()
    for more in (b"", hashlib.sha512(data[:64]).digest().replace(b"\xff", b"")):
        image = Image.open(io.BytesIO(data + more + _END), formats=["JPEG"])
        if image.width * image.height > _MOST_WITHOUT_END:
            raise PhotoError(
                f"a JPEG of {image.width} x {image.height} pixels without its end is not decoded; save the photo anew"
            )
        found.add(hashlib.sha256(image.tobytes()).digest())
    return len(found) == 1


def _refined(data: bytes) -> bool:
    """Say whether the scans of a JPEG hold every coefficient of every component to its last bit (T.81, annex G)."""
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
