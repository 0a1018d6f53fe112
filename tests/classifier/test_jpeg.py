"""The metadata that the repair of a JPEG keeps, and the markers that have no content."""

import struct

import pytest

from classifier.image_formats import tiff
from classifier.image_formats.jpeg import _markers, mended
from tests.image_files import segment

PIXELS = b"\xff\xda\0\2pixels\xff\xd9"


def exif(kind: int, value: bytes, tag: int = 0x0112) -> bytes:
    """Return an EXIF block with one tag of the given type, whose value is four bytes."""
    entry = struct.pack(">HHHI4s", 1, tag, kind, 1, value)
    return segment(0xE1, b"Exif\0\0" + b"MM\0*" + struct.pack(">I", 8) + entry + bytes(4))


@pytest.mark.parametrize(
    ("kind", "value", "orientation"),
    [(3, b"\0\6??", 6), (3, b"\xff\xff??", 65_535), (4, b"\0\0\0\3", 3), (3, b"\0\0??", 0)],
)
def test_of_exif_the_orientation_alone_is_kept(kind: int, value: bytes, orientation: int) -> None:
    whole = mended(b"\xff\xd8" + exif(kind, value) + segment(0xFE, b"a comment") + PIXELS)
    assert whole is not None and whole.startswith(b"\xff\xd8\xff\xe1") and whole.endswith(PIXELS)
    length = int.from_bytes(whole[4:6], "big")
    assert whole[4 + length :] == PIXELS and whole[6:12] == b"Exif\0\0"
    assert tiff.orientation(whole[12 : 4 + length]) == orientation


@pytest.mark.parametrize(
    "told",
    [
        exif(3, b"\0\6??", tag=0x010E),  # another tag
        exif(8, b"\xff\xff??"),  # -1
        exif(4, b"\0\1\0\0"),  # 65,536
        exif(3, b"\0\6??").replace(b"Exif", b"exif"),
        exif(3, b"\0\6??").replace(b"\xff\xe1", b"\xff\xe2"),
        segment(0xE1, b"Exif\0\0MM\0*"),
        segment(0xE1, b"Exif\0\0" + bytes(20)),
    ],
    ids=["another tag", "-1", "65,536", "another name", "another segment", "without a directory", "garbage"],
)
def test_exif_that_tells_no_orientation_is_dropped(told: bytes) -> None:
    assert mended(b"\xff\xd8" + told + PIXELS) == b"\xff\xd8" + PIXELS


def test_a_marker_that_stands_alone_has_no_length() -> None:
    for alone in (0x01, 0xD0, 0xD7):
        data = b"\xff\xd8\xff" + bytes([alone]) + segment(0xFE, b"a comment") + PIXELS
        assert [marker for marker, _ in _markers(data)] == ([] if alone > 1 else [1]) + [0xFE, 0xDA]
        assert mended(data) == b"\xff\xd8\xff" + bytes([alone]) + PIXELS


@pytest.mark.parametrize(("marker", "name", "length"), [(0xE0, b"JFIF\0", 16), (0xEE, b"Adobe", 14)])
def test_what_tells_the_colours_is_kept_where_it_is_whole(marker: int, name: bytes, length: int) -> None:
    whole, short = (segment(marker, name + bytes(size - 2 - len(name))) for size in (length, length - 1))
    other = segment(marker, b"?" + name[1:] + bytes(20))
    # The repair drops the comment.
    comment = segment(0xFE, b"")
    assert mended(b"\xff\xd8" + whole + comment + PIXELS) == b"\xff\xd8" + whole + PIXELS
    assert mended(b"\xff\xd8" + short + other + PIXELS) == b"\xff\xd8" + PIXELS
