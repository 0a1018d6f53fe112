"""TIFF: refuse costly files and raw photos, correct files that Pillow reads wrongly, and repair damaged tags."""

import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImagePalette, TiffImagePlugin

from classifier.errors import PhotoError

# Strips, tiles or tags. Pillow makes a Python object for each: 6,000,000 in 24 MB took 24 s and 0.9 GB for 8 x 8 pixels.
MAX_PIECES = 65_536
_STRIPS, _TILES = 273, 324  # StripOffsets and TileOffsets, TIFF 6.0
_BITS, _PLANES, _COLOURS = 258, 284, 320  # BitsPerSample, PlanarConfiguration, ColorMap
_COMPRESSION, _WEBP = 259, 50_001
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
# Teach Pillow two forms that it does not know. Big-endian samples of 16 bits where 0 is white:
TiffImagePlugin.OPEN_INFO[TiffImagePlugin.MM, 0, (1,), 1, (16,), ()] = ("I;16B", "I;16B")
# Signed bytes where 0 is white (classifier.depth inverts them):
for _order in (TiffImagePlugin.II, TiffImagePlugin.MM):
    TiffImagePlugin.OPEN_INFO[_order, 0, (2,), 1, (8,), ()] = ("L", "L")
_SMALLER, _OTHERS, _DNG = 254, 330, 50_706  # NewSubfileType, SubIFDs, DNGVersion
_ORIENTATION, _XMP = 0x0112, 700
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # struct's character for each integer type
# The number of bytes of a value of each type.
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# Every tag that the pixels, their meaning or their orientation depend on.
_NEEDED = frozenset(
    {254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 281, 284, 292, 293, 317, 320, 322, 323, 324, 325}
    | {332, 338, 339, 341, 347, *range(512, 522), 529, 530, 531, 532}
)


@dataclass(frozen=True, kw_only=True)
class _Form:
    """The layout of a TIFF's header and directories. All fields except `place` are format strings of struct."""

    order: str  # byte order
    place: int  # the position of the first directory's offset
    offset: str
    length: str  # the number of entries of a directory
    entry: str

    @property
    def room(self) -> int:
        """The number of bytes of a value that fit into its entry; longer values are elsewhere in the file."""
        return struct.calcsize("=" + self.offset)


def _classic(order: str) -> _Form:
    return _Form(order=order, place=4, offset="I", length="H", entry="HHI4s")


def _big(order: str) -> _Form:
    return _Form(order=order, place=8, offset="Q", length="Q", entry="HHQ8s")


_FORMS = {
    b"II*\0": _classic("<"),
    b"II\0*": _classic("<"),  # invalid by the standard, but Pillow reads it
    b"MM\0*": _classic(">"),
    b"MM*\0": _classic(">"),  # the same
    b"II+\0": _big("<"),
    b"MM\0+": _big(">"),
}
_Entry = tuple[int, int, int, bytes]  # tag, type, count, and the value or its offset


def limit_pieces(data: bytes) -> None:
    """Raise PhotoError for a TIFF whose first image has more than MAX_PIECES strips or tiles, and for a raw photo."""
    if data[:4] not in _FORMS:
        return
    _, _, entries = _directory(data)
    tags = {tag: value for tag, _, _, value in entries}
    for tag, _, count, _ in entries:
        if tag in (_STRIPS, _TILES) and count > MAX_PIECES:
            raise PhotoError(f"a TIFF of {count:,} strips or tiles is not decoded; save the photo again")
    # Pillow would read only the small preview that comes first in a raw photo.
    smaller = any(tags.get(_SMALLER, b"")) and _OTHERS in tags
    if _DNG in tags or smaller or data[8:10] == b"CR":
        raise PhotoError("a raw photo (DNG, NEF, CR2 and the like) is not read; develop it and save it as JPEG or PNG")


def prepare(image: Image.Image) -> None:
    """Correct an opened TIFF where Pillow would decode it wrongly; raises PhotoError if it cannot be corrected."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    raw = [tile.codec_name for tile in image.tile[:1]] == ["raw"]
    # Trap: Pillow takes each two-byte sample of such a file for two pixels.
    if raw and image.tag_v2.get(_PLANES) == 2 and image.tag_v2.get(_BITS, (0,))[0] == 16:
        raise PhotoError(
            "a TIFF of planes of 16 bits without compression is not read; save it again with 8 bits a sample"
        )
    colours = image.tag_v2.get(_COLOURS, ())
    if image.mode in ("P", "PA") and max(colours) < 256:  # a palette of 8 bits an entry; the standard says 16
        image.palette = ImagePalette.raw("RGB;L", bytes(colours))
    if not raw:
        # Trap: libtiff returns samples in this machine's byte order. Pillow expects that only of unsigned 16 bits.
        image.tile = [tile._replace(args=_in_native_order(tile.args)) for tile in image.tile]


def _in_native_order(args: Any) -> Any:
    form, *rest = args
    return (_NATIVE.get(form, form), *rest)


def sound(data: bytes) -> bytes:
    """Return a TIFF without tags that point outside the file; Pillow ignores every tag after the first of them."""
    if data[:4] not in _FORMS:
        return data
    form, _, entries = _directory(data)
    outside = any(_size(entry) > form.room and not _lies_within(data, form, entry) for entry in entries)
    return (mended(data) if outside else None) or data


def orientation(block: bytes) -> int | None:
    """Return the orientation in the first directory of an EXIF block, even when its other tags are damaged."""
    return _number(block, _ORIENTATION)


def is_webp(data: bytes) -> bool:
    """Return whether a TIFF is compressed as WebP, as some maps are. Pillow knows this compression, but its libtiff cannot read it."""
    return _number(data, _COMPRESSION) == _WEBP


def _number(data: bytes, wanted: int) -> int | None:
    """Return the first value of a tag of whole numbers in the first directory; None if the tag is missing."""
    if data[:4] not in _FORMS:
        return None
    form, _, entries = _directory(data)
    for entry in entries:
        tag, kind, _, value = entry
        if tag == wanted and kind in _INTEGERS and 0 < _size(entry) <= form.room:
            return int(struct.unpack_from(form.order + _INTEGERS[kind], value)[0])
    return None


def mended(data: bytes) -> bytes | None:
    """Return a TIFF whose first directory holds only the tags in _NEEDED and XMP; None when nothing changes."""
    if data[:4] not in _FORMS:
        return None
    form, start, entries = _directory(data)
    if not entries:
        return None
    kept = [entry for entry in entries if _needed(entry) and _lies_within(data, form, entry)]
    packed = struct.pack(form.order + form.length, len(kept))
    packed += b"".join(struct.pack(form.order + form.entry, *entry) for entry in kept)
    packed += bytes(form.room)  # no further directory
    whole = b"".join([data[:start], packed, data[start + len(packed) :]])
    return whole if whole != data else None


def _needed(entry: _Entry) -> bool:
    # XMP may hold the orientation. Pillow fails if XMP's type is not bytes.
    return entry[0] in _NEEDED or (entry[0] == _XMP and entry[1] in (1, 7))


def _lies_within(data: bytes, form: _Form, entry: _Entry) -> bool:
    size = _size(entry)
    if size <= form.room:
        return size > 0
    (offset,) = struct.unpack(form.order + form.offset, entry[3])
    return bool(offset + size <= len(data))


def _size(entry: _Entry) -> int:
    """Return how many bytes an entry's value has; 0 for an unknown type."""
    _, kind, count, _ = entry
    return _WIDTHS.get(kind, 0) * count


def _directory(data: bytes) -> tuple[_Form, int, list[_Entry]]:
    """Return a TIFF's form, the position of its first directory, and the directory's complete entries.

    Raises PhotoError for more than MAX_PIECES entries.
    """
    form = _FORMS[data[:4]]
    entries: list[_Entry] = []
    begin = 0
    try:
        (begin,) = struct.unpack_from(form.order + form.offset, data, form.place)
        (length,) = struct.unpack_from(form.order + form.length, data, begin)
        if length > MAX_PIECES:
            raise PhotoError(f"a TIFF of {length:,} tags is not decoded; save the photo again")
        start = begin + struct.calcsize("=" + form.length)
        for _ in range(length):
            entries.append(struct.unpack_from(form.order + form.entry, data, start))
            start += struct.calcsize("=" + form.entry)
    except (struct.error, OverflowError):  # truncated or invalid: the decoder's own error says more
        pass
    return form, begin, entries
