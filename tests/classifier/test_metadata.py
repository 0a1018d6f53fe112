"""A photo with undamaged pixels is read despite damaged or large metadata, in every format."""

import contextlib
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from classifier.errors import PhotoError
from classifier.images import decode, look_at
from tests.image_files import chunk, encoded, plain_tiff, segment, with_tag

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).resize((120, 80))
GARBAGE = bytes(range(1, 200))


# --- PNG


def compressed(size: int) -> bytes:
    return zlib.compress(os.urandom(1000) * (size // 1000))


PNG_CHUNKS = {
    "checksum of tEXt": chunk(b"tEXt", b"Comment\0hello", 1),
    "checksum of pHYs": chunk(b"pHYs", bytes(9), 1),
    "checksum of an unknown chunk": chunk(b"zzZz", b"?", 1),
    "checksum of eXIf": chunk(b"eXIf", GARBAGE, 1),
    "short pHYs": chunk(b"pHYs", b"\0"),
    "short gAMA": chunk(b"gAMA", b"\0"),
    "short cHRM": chunk(b"cHRM", bytes(31)),
    "short tIME": chunk(b"tIME", b""),
    "short tRNS": chunk(b"tRNS", b"\0"),
    "short acTL": chunk(b"acTL", b"\0"),
    "fcTL out of order": chunk(b"acTL", bytes(3) + b"\2" + bytes(4)) + chunk(b"fcTL", b"\0\0\0\7" + bytes(22)),
    "empty sRGB": chunk(b"sRGB", b""),
    "empty iCCP": chunk(b"iCCP", b""),
    "empty sBIT": chunk(b"sBIT", b""),
    "iCCP of an unknown compression": chunk(b"iCCP", b"x\0\7" + compressed(1000)),
    "iCCP of 3 MB": chunk(b"iCCP", b"x\0\0" + compressed(3_000_000)),
    "zTXt of 3 MB": chunk(b"zTXt", b"x\0\0" + compressed(3_000_000)),
    "zTXt of an unknown compression": chunk(b"zTXt", b"x\0\7?"),
    "iTXt of 3 MB": chunk(b"iTXt", b"x\0\1\0\0\0" + compressed(3_000_000)),
    "tEXt of 70 MB": chunk(b"tEXt", b"x\0" + bytes(70_000_000)),
    "eXIf of garbage": chunk(b"eXIf", GARBAGE),
    "a kind that is not text": chunk(b"z\xff\xffz", b"?"),
}


@pytest.mark.parametrize("place", ["before the pixels", "after the pixels"])
@pytest.mark.parametrize("name", PNG_CHUNKS)
def test_a_png_with_a_broken_or_large_side_chunk_is_read(name: str, place: str) -> None:
    whole = encoded(PHOTO)
    where = 33 if place == "before the pixels" else len(whole) - 12
    data = whole[:where] + PNG_CHUNKS[name] + whole[where:]
    np.testing.assert_array_equal(np.asarray(decode(data)), np.asarray(PHOTO))


def test_a_png_that_ends_within_a_comment_or_without_its_last_chunk_is_read() -> None:
    whole = encoded(PHOTO)
    for end in (b"", chunk(b"tEXt", b"Comment\0hello")[:-6], struct.pack(">I", 10**6) + b"tEXtlong", b"\0\0\0"):
        np.testing.assert_array_equal(np.asarray(decode(whole[:-12] + end)), np.asarray(PHOTO))


def test_a_mended_png_keeps_its_transparency() -> None:
    palette = Image.new("P", (10, 10), 3)
    palette.putpalette([0, 0, 0] * 256)
    data = encoded(palette, transparency=3)
    assert np.asarray(decode(data[:33] + PNG_CHUNKS["short pHYs"] + data[33:])).min() == 255


# --- JPEG


JPEG_SEGMENTS = {
    "short APP0": segment(0xE0, b"JFIF\0"),
    "empty APP0": segment(0xE0, b""),
    "EXIF of garbage": segment(0xE1, b"Exif\0\0" + GARBAGE),
    "EXIF cut short": segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x20\1"),
    "EXIF that says nothing": segment(0xE1, b"Exif\0\0"),
    "EXIF that points outside": segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "XMP of garbage": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + GARBAGE),
    "ICC of no number": segment(0xE2, b"ICC_PROFILE\0"),
    "ICC of a missing part": segment(0xE2, b"ICC_PROFILE\0\1\7" + GARBAGE),
    "two first parts of ICC": segment(0xE2, b"ICC_PROFILE\0\1\2" + GARBAGE) * 2,
    "MPF of garbage": segment(0xE2, b"MPF\0" + GARBAGE),
    "MPF of no pictures": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\0\0"),
    "FlashPix cut short": segment(0xE2, b"FPXR\0"),
    "Photoshop cut short": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04"),
    "Photoshop without a name": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04"),
    "Photoshop of garbage": segment(0xED, b"Photoshop 3.0\0" + b"8BIM" + GARBAGE),
    "resolution cut short": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\2??"),
    "short Adobe": segment(0xEE, b"Adobe"),
    "empty comment": segment(0xFE, b""),
    "20 MB of comments": segment(0xFE, bytes(65_000)) * 320,
    "20 MB of profile": segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000)) * 320,
}


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("name", JPEG_SEGMENTS)
def test_a_jpeg_with_broken_or_large_metadata_is_read(name: str, progressive: bool) -> None:
    whole = encoded(PHOTO, "JPEG", progressive=progressive)
    expected = np.asarray(decode(whole))
    for data in (whole[:2] + JPEG_SEGMENTS[name] + whole[2:], whole[:20] + JPEG_SEGMENTS[name] + whole[20:]):
        np.testing.assert_array_equal(np.asarray(decode(data)), expected)


def test_a_mended_jpeg_keeps_its_colours() -> None:
    for mode in ("CMYK", "L", "RGB"):
        image = Image.new("RGB", (64, 64), (200, 60, 40)).convert(mode)
        whole = encoded(image, "JPEG", quality=95)
        expected = np.asarray(decode(whole))
        broken = whole[:-2].replace(b"\xff\xdb", JPEG_SEGMENTS["short APP0"] + b"\xff\xdb", 1) + whole[-2:]
        np.testing.assert_array_equal(np.asarray(decode(broken)), expected)


# --- GIF


def test_a_gif_without_its_end_and_one_with_odd_extensions_are_read() -> None:
    whole = encoded(PHOTO, "GIF")
    expected = np.asarray(decode(whole))
    place = 13 + 3 * 256
    for extension in (
        b"!\xfe\0",
        b"!\xfe\3abc\0",
        b"!\xff\1?\0",
        b"!\xf9\0",
        b"!\xf9\1?\0",
        b"!\x01\2??\0",
        b"!\x99\1?\0",
    ):
        data = whole[:place] + extension + whole[place:]
        np.testing.assert_array_equal(np.asarray(decode(data)), expected, err_msg=str(extension))
    for data in (whole[:-1], whole + GARBAGE):
        np.testing.assert_array_equal(np.asarray(decode(data)), expected)


# --- WebP, AVIF, BMP


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    content = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for kind, body in chunks
    )
    return b"RIFF" + struct.pack("<I", len(content)) + content


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_with_odd_metadata_or_a_wrong_size_is_read(lossless: bool) -> None:
    simple = encoded(PHOTO, "WEBP", lossless=lossless)
    expected = np.asarray(decode(simple))
    pixels = (simple[12:16], simple[20 : 20 + struct.unpack("<I", simple[16:20])[0]])
    head = (b"VP8X", b"\x2c\0\0\0" + (119).to_bytes(3, "little") + (79).to_bytes(3, "little"))
    odd = [(b"ICCP", GARBAGE), pixels, (b"EXIF", GARBAGE), (b"XMP ", GARBAGE), (b"????", b"?")]
    size = struct.unpack("<I", simple[4:8])[0]
    variants = [riff(head, *odd), riff(head, pixels), riff(head, (b"EXIF", b""), pixels), riff(pixels, *odd)]
    variants += [simple[:4] + struct.pack("<I", size + more) + simple[8:] for more in (-1, 1, 2, -2, 10_000, -size)]
    variants += [riff(head, *odd)[:-1], simple + GARBAGE, riff(head, *odd) + GARBAGE]
    for number, data in enumerate(variants):
        np.testing.assert_array_equal(np.asarray(decode(data)), expected, err_msg=str(number))
    with pytest.raises(PhotoError):
        decode(simple[: len(simple) * 9 // 10])


def test_an_avif_with_damaged_exif_is_read() -> None:
    exif = Image.Exif()
    exif[0x010F] = "camera"
    whole = encoded(PHOTO, "AVIF", exif=exif)
    place = whole.rindex(b"MM\0*")
    for garbage in (b"garbage!", b"MM\0*\xff\xff\xff\xff", b"\0" * 8):
        data = whole[:place] + garbage + whole[place + 8 :]
        np.testing.assert_array_equal(np.asarray(decode(data)), np.asarray(decode(whole)))


@pytest.mark.parametrize("size", [40, 52, 56, 64, 108, 124])
def test_a_bmp_of_every_header_is_read_with_whatever_stands_behind_its_pixels(size: int) -> None:
    whole = encoded(PHOTO, "BMP")
    data = whole[:10] + struct.pack("<II", 14 + size, size) + whole[18:54] + bytes(size - 40) + whole[54:] + GARBAGE
    np.testing.assert_array_equal(np.asarray(decode(data)), np.asarray(PHOTO))


# --- TIFF


TIFF_TAGS = {
    "description outside the file": (270, 2, 1000, 0x7FFFFFFF),
    "maker outside the file": (271, 2, 70, 10**6),
    "resolution outside the file": (282, 5, 1, 0xFFFFFFF0),
    "resolution of another type": (282, 2, 4, 0x41414141),
    "unknown type": (271, 99, 4, 0),
    "EXIF outside the file": (34665, 4, 1, 0x7FFFFFFF),
    "EXIF within the pixels": (34665, 4, 1, 8),
    "EXIF of another type": (34665, 2, 4, 0x41414141),
    "GPS outside the file": (34853, 4, 1, 0xFFFFFFFF),
    "XMP outside the file": (700, 1, 5000, 0x7FFFFFFF),
    "XMP of another type": (700, 2, 4, 0x41414141),
    "profile outside the file": (34675, 7, 5000, 0x7FFFFFFF),
    "Photoshop outside the file": (34377, 7, 5000, 0x7FFFFFFF),
    "private tag of nothing": (65000, 4, 0, 0),
    "most samples of another type": (281, 2, 4, 0x41414141),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", TIFF_TAGS)
def test_a_tiff_with_a_broken_tag_is_read(name: str, order: str) -> None:
    np.testing.assert_array_equal(
        np.asarray(decode(with_tag(plain_tiff(PHOTO, 1, order), order, *TIFF_TAGS[name]))), np.asarray(PHOTO)
    )


def test_a_tiff_with_a_broken_exif_directory_is_read() -> None:
    exif = TiffImagePlugin.ImageFileDirectory_v2()
    exif[34665] = {0x9003: "2026:01:01 00:00:00", 0x829A: TiffImagePlugin.IFDRational(1, 60)}
    whole = encoded(PHOTO, "TIFF", tiffinfo=exif)
    place = whole.index(struct.pack("<HH", 0x9003, 2))
    data = whole[: place + 4] + b"\xff" * 8 + whole[place + 12 :]
    np.testing.assert_array_equal(np.asarray(decode(data)), np.asarray(decode(whole)))


# --- refusals and notes


def test_what_was_mended_is_reported_and_what_is_sound_is_not() -> None:
    jpeg = encoded(PHOTO, "JPEG")
    assert look_at(jpeg).notes == () and look_at(encoded(PHOTO)).notes == ()
    assert any("its end is damaged" in note for note in look_at(jpeg[:-2]).notes)
    assert look_at(jpeg[:-2], short_side=20).size == (120, 80)


def test_a_png_of_more_chunks_than_any_photo_has_is_refused() -> None:
    whole = encoded(PHOTO)
    for kind in (b"IDAT", b"tEXt", b"zzZz"):
        with pytest.raises(PhotoError, match="a PNG of more than 10,2"):
            decode(whole[:33] + chunk(kind, b"") * 100_000 + whole[33:])
    pixels = whole[41:-16]
    pieces = [chunk(b"IDAT", pixels[i : i + 5]) for i in range(0, len(pixels), 5)]
    assert len(pieces) > 1000
    np.testing.assert_array_equal(np.asarray(decode(whole[:33] + b"".join(pieces) + whole[-12:])), np.asarray(PHOTO))


def test_a_gif_of_more_blocks_or_gaps_than_any_photo_has_is_refused() -> None:
    whole = encoded(PHOTO, "GIF")
    place = 13 + 3 * 256
    for more, reason in (
        (b"!\xfe" + b"\1?" * 100_000 + b"\0", "more than 1[0-9],[0-9]{3} blocks"),
        (b"!\xfe\1?\0" * 100_000, "more than 1[0-9],[0-9]{3} blocks"),
        (bytes(100_000), "long gaps between its blocks"),
    ):
        with pytest.raises(PhotoError, match=reason):
            decode(whole[:place] + more + whole[place:])
    large = b"!\xfe" + (b"\xff" + bytes(255)) * 80_000 + b"\0"
    np.testing.assert_array_equal(np.asarray(decode(whole[:place] + large + whole[place:])), np.asarray(decode(whole)))


def test_mending_keeps_the_grey_that_is_transparent() -> None:
    # A grey PNG with a transparent right half, and a comment with a wrong checksum.
    pixels = np.full((8, 8), 90, np.uint8)
    pixels[:, 4:] = 40
    data = encoded(Image.fromarray(pixels), "PNG")
    damaged = data[:33] + chunk(b"tRNS", struct.pack(">H", 40)) + chunk(b"tEXt", b"Comment\0x", 0) + data[33:]
    assert np.asarray(decode(damaged)).tolist() == [[[90] * 3] * 4 + [[255] * 3] * 4] * 8


def test_a_damaged_fax_writes_no_line_of_its_library_into_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    whole = encoded(PHOTO.convert("1"), "TIFF", compression="group4")
    start = int.from_bytes(whole[4:8], "little")
    place = 8 if start > 100 else 200
    damaged = whole[:place] + b"\x5a" * 40 + whole[place + 40 :]
    with contextlib.suppress(PhotoError):
        decode(damaged)
    assert capfd.readouterr().err == ""
