"""TIFFs that take far more time and memory than their size tells: those cut into more pieces than any photo has."""

import struct

from classifier.errors import PhotoError

# Pillow makes a Python object of each: 6,000,000 of them in 24 MB took 24 s and 0.9 GB for an image of 8 x 8 pixels.
MAX_PIECES = 65_536
_STRIPS, _TILES = 273, 324  # StripOffsets and TileOffsets, TIFF 6.0
# What a file begins with -> byte order, place and form of the first directory's offset, of its length, of an entry.
_FORMS = {
    b"II*\0": ("<", 4, "I", "H", "HHI4x"),
    b"II\0*": ("<", 4, "I", "H", "HHI4x"),  # not as it should be, but read
    b"MM\0*": (">", 4, "I", "H", "HHI4x"),
    b"MM*\0": (">", 4, "I", "H", "HHI4x"),
    b"II+\0": ("<", 8, "Q", "Q", "HHQ8x"),
    b"MM\0+": (">", 8, "Q", "Q", "HHQ8x"),
}


def limit_pieces(data: bytes) -> None:
    """Refuse a TIFF whose first image has more than MAX_PIECES strips or tiles; raises PhotoError."""
    form = _FORMS.get(data[:4])
    if form is None:
        return
    order, place, offset_form, length_form, entry_form = form
    try:
        (start,) = struct.unpack_from(order + offset_form, data, place)
        (length,) = struct.unpack_from(order + length_form, data, start)
        start += struct.calcsize(order + length_form)
        if length > MAX_PIECES:
            raise PhotoError(f"a TIFF of {length:,} tags is not decoded; save the photo anew")
        for _ in range(length):
            tag, _, count = struct.unpack_from(order + entry_form, data, start)
            if tag in (_STRIPS, _TILES) and count > MAX_PIECES:
                raise PhotoError(f"a TIFF of {count:,} strips or tiles is not decoded; save the photo anew")
            start += struct.calcsize(order + entry_form)
    except (struct.error, OverflowError):  # cut short or nonsense, of which the decoder tells more
        return
