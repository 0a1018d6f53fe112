"""The limits of each format: a file at the limit is read, and a file just above it is refused."""

import struct
import zlib
from collections.abc import Callable

import pytest

from classifier.errors import PhotoError
from classifier.image_formats.avif import limit_frames
from classifier.image_formats.gif import still
from classifier.image_formats.jpeg import limit_segments
from classifier.image_formats.png import limit_chunks, mended
from classifier.image_formats.tiff import limit_pieces
from tests.image_files import chunk

PNG = b"\x89PNG\r\n\x1a\n"
GIF = b"GIF89a" + bytes(7)  # no table of colours follows
IMAGE = b"," + bytes(20)


def passes(look: Callable[[bytes], object], data: bytes) -> bool:
    try:
        look(data)
    except PhotoError:
        return False
    return True


def test_a_gif_may_hold_ten_thousand_blocks_and_one_more_for_each_64_bytes() -> None:
    # Each block has 2 bytes, so the blocks' own bytes allow 322 more blocks.
    most, more = (GIF + b"!\xfe" + b"\1?" * count + b"\0" + IMAGE for count in (10_322, 10_323))
    assert still(most) == GIF + IMAGE
    with pytest.raises(PhotoError, match="a GIF of more than 10,322 blocks is not decoded"):
        still(more)


def test_a_gap_in_a_gif_is_shorter_than_64_kilobytes() -> None:
    assert still(GIF + bytes(65_535) + IMAGE) == GIF + IMAGE
    with pytest.raises(PhotoError, match="a GIF with long gaps between its blocks"):
        still(GIF + bytes(65_536) + IMAGE)
    whole = GIF + bytes(65_536)
    assert still(whole) == whole  # nothing follows the gap; the decoder will refuse the file


def test_of_a_gifs_extensions_the_last_that_tells_its_transparency_stays() -> None:
    first, second = b"!\xf9\4\1\0\0\7\0", b"!\xf9\4\1\0\0\5\0"
    odd = b"!\xf9\3\1\0\0\0"
    assert still(GIF + first + second + odd + b"!\xfe\1?\0" + IMAGE) == GIF + second + IMAGE
    whole = GIF + second + IMAGE
    assert still(whole) is whole
    # The bytes of the table of 4 colours are not read as blocks.
    table = b"GIF87a" + bytes(4) + b"\x81" + bytes(2) + b"!,;!,;!,;!,;"
    assert still(table + b"!\xfe\1?\0" + IMAGE) == table + IMAGE
    for short in (b"GIF89a" + bytes(6), b"GIF88a" + bytes(7) + b"!\xfe\1?\0" + IMAGE):
        assert still(short) is short


def test_a_png_may_hold_ten_thousand_chunks_and_one_more_for_each_4_kilobytes() -> None:
    limit_chunks(PNG + chunk(b"zzZz", b"") * 10_029)
    with pytest.raises(PhotoError, match="a PNG of more than 10,029 chunks is not decoded"):
        limit_chunks(PNG + chunk(b"zzZz", b"") * 10_030)


@pytest.mark.parametrize(("colour", "least"), [(0, 2), (2, 6), (3, 0)])
def test_the_transparency_of_a_png_is_dropped_where_it_is_too_short_for_its_colours(colour: int, least: int) -> None:
    head = PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, colour, 0, 0, 0))
    rest = chunk(b"IDAT", b"pixels") + chunk(b"IEND", b"")
    assert mended(head + chunk(b"tRNS", bytes(least)) + rest) is None
    if least:
        assert mended(head + chunk(b"tRNS", bytes(least - 1)) + rest) == head + rest


@pytest.mark.parametrize(("kind", "most"), [(b"\xe1", 500), (b"\xdb", 500), (b"\xfe", 500)])
def test_a_jpeg_may_hold_so_many_segments(kind: bytes, most: int) -> None:
    segment = b"\xff" + kind + b"\0\2"
    limit_segments(b"\xff\xd8" + segment * most)
    with pytest.raises(PhotoError, match=f"a JPEG of more than {most} (EXIF )?segments is not decoded"):
        limit_segments(b"\xff\xd8" + segment * (most + 1))


def test_a_jpeg_may_hold_one_more_segment_for_each_32_kilobytes_and_no_more_exif() -> None:
    def segments(length: int) -> bytes:
        """Return a JPEG's start with a comment of `length` bytes and 500 segments; the last begins 2,002 bytes after `length`."""
        return b"\xff\xd8\xff\xfe" + struct.pack(">H", length) + bytes(length - 2) + b"\xff\xdb\0\2" * 500

    limit_segments(segments(32_768 - 2_002))
    with pytest.raises(PhotoError, match="more than 500 segments"):
        limit_segments(segments(32_767 - 2_002))
    with pytest.raises(PhotoError, match="more than 500 EXIF segments"):
        limit_segments(b"\xff\xd8" + (b"\xff\xe1\xff\xff" + bytes(65_533)) * 501)


def test_a_gap_in_a_jpeg_is_at_most_64_kilobytes_before_its_pixels_and_any_length_after() -> None:
    limit_segments(b"\xff\xd8" + bytes(65_536) + b"\xff\xdb\0\2")
    with pytest.raises(PhotoError, match="a JPEG with long gaps between its segments"):
        limit_segments(b"\xff\xd8" + bytes(65_537) + b"\xff\xdb\0\2")
    limit_segments(b"\xff\xd8\xff\xc2\0\2" + (b"\xff\xda\0\2" + bytes(65_537)) * 40)


def test_a_jpeg_may_hold_64_scans_and_what_follows_its_end_is_nobodys() -> None:
    start, scan = b"\xff\xd8\xff\xc2\0\x0b\x08\0\x08\0\x08\1\1\x11\0", b"\xff\xda\0\x08\1\1\0\0\0\0"
    limit_segments(start + scan * 64)
    with pytest.raises(PhotoError, match="a JPEG of more than 64 scans is not decoded"):
        limit_segments(start + scan * 65)
    limit_segments(start + scan + b"\xff\xd9" + scan * 100)
    # The decoder reads only the first scan of a sequential JPEG if this scan has all components.
    limit_segments(start.replace(b"\xc2", b"\xc0") + scan * 100)
    with pytest.raises(PhotoError, match="more than 64 scans"):
        limit_segments(start.replace(b"\xc2", b"\xc0").replace(b"\1\1\x11", b"\3\1\x11") + scan * 100)


def test_a_tiff_may_hold_65536_strips_tiles_or_tags() -> None:
    for tag in (273, 324):
        most, more = (
            b"II*\0" + struct.pack("<IHHHII", 8, 1, tag, 4, count, 0) + bytes(4) for count in (65_536, 65_537)
        )
        assert passes(limit_pieces, most) and not passes(limit_pieces, more)
    most, more = (b"MM\0+" + struct.pack(">HHQQ", 8, 0, 16, count) for count in (65_536, 65_537))
    assert passes(limit_pieces, most) and not passes(limit_pieces, more)


def test_an_avif_may_hold_4096_parts() -> None:
    def avif(count: int) -> bytes:
        content = b"\0\0\0\0" + b"\0\0" + struct.pack(">H", count)
        located = struct.pack(">I", len(content) + 8) + b"iloc" + content
        meta = struct.pack(">I", len(located) + 12) + b"meta" + bytes(4) + located
        return b"\0\0\0\x10ftypavif" + bytes(4) + meta

    assert passes(lambda data: limit_frames(data, 1), avif(4096))
    with pytest.raises(PhotoError, match="an AVIF image of 4,097 parts is not decoded; save it as JPEG"):
        limit_frames(avif(4097), 1)


@pytest.mark.parametrize(
    ("length", "spoilt", "kept"), [(2**20, 0, True), (2**20 + 1, 0, False), (100, 1, False), (100, 0, True)]
)
def test_a_packed_text_of_a_png_stays_where_pillow_can_unpack_it(length: int, spoilt: int, kept: bool) -> None:
    packed = bytearray(zlib.compress(bytes(length)))
    packed[2] ^= 0xFF * spoilt
    head, rest = PNG + chunk(b"IHDR", bytes(13)), chunk(b"IDAT", b"pixels") + chunk(b"IEND", b"")
    for kind, start in ((b"zTXt", b"Raw profile type exif\0\0"), (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0")):
        text = chunk(kind, start + bytes(packed))
        assert (mended(head + text + rest) is None) == kept, kind


def test_of_a_png_that_ends_in_the_middle_its_pixels_stay_and_its_texts_do_not() -> None:
    head, pixels = PNG + chunk(b"IHDR", bytes(13)), chunk(b"IDAT", b"pixels")
    assert mended(head + pixels[:-1]) is None
    assert mended(head + pixels + chunk(b"tEXt", b"Comment\0text")[:-1]) == head + pixels
    assert mended(head + pixels + chunk(b"IEND", b"") + b"behind it") == head + pixels + chunk(b"IEND", b"")
    assert mended(head + chunk(b"zzZz", b"x") + pixels + chunk(b"IEND", b"")) == head + pixels + chunk(b"IEND", b"")
    orientation = chunk(b"eXIf", b"MM\0*")
    assert mended(head + orientation + pixels + chunk(b"IEND", b"")) is None
    wrong = orientation[:-1] + bytes([orientation[-1] ^ 1])
    assert mended(head + wrong + pixels + chunk(b"IEND", b"")) == head + pixels + chunk(b"IEND", b"")
