"""Photos are turned upright exactly once, in every format and for every value of the orientation."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from classifier.images import Decoded, decode, load_pixels, look_at
from tests.image_files import PREPROCESSING, UPRIGHT, encoded, plain_tiff, with_tag

UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def exif(orientation: int, order: str = ">") -> Image.Exif:
    block = Image.Exif()
    block.endian = order
    block[0x0112] = orientation
    return block


def saved_as(kind: str, **options: Any) -> Callable[[Image.Image, int], bytes]:
    return lambda image, orientation: encoded(image, kind, exif=exif(orientation), **options)


def tiff_as(compression: str, **options: Any) -> Callable[[Image.Image, int], bytes]:
    return lambda image, orientation: encoded(
        image, "TIFF", compression=compression, tiffinfo={274: orientation}, **options
    )


def tiff_by_hand(order: str, tile: int = 0) -> Callable[[Image.Image, int], bytes]:
    return lambda image, orientation: plain_tiff(image, orientation, order, tile)


def xmp(orientation: int) -> bytes:
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % orientation


WRITERS: dict[str, Callable[[Image.Image, int], bytes]] = {
    "jpeg": saved_as("JPEG", quality=100, subsampling=0),
    "jpeg progressive": saved_as("JPEG", quality=100, subsampling=0, progressive=True),
    "jpeg with little-endian exif": lambda image, value: encoded(
        image, "JPEG", quality=100, subsampling=0, exif=exif(value, "<")
    ),
    "jpeg with xmp": lambda image, value: encoded(image, "JPEG", quality=100, subsampling=0, xmp=xmp(value)),
    "png": saved_as("PNG"),
    "webp": saved_as("WEBP", quality=100),
    "webp lossless": saved_as("WEBP", lossless=True),
    "avif": saved_as("AVIF", quality=100, subsampling="4:4:4"),
    "tiff": tiff_as("raw"),
    "tiff lzw": tiff_as("tiff_lzw"),
    "tiff deflate": tiff_as("tiff_adobe_deflate"),
    "tiff packbits": tiff_as("packbits"),
    "tiff jpeg": tiff_as("jpeg", quality=100),
    "tiff big": tiff_as("raw", big_tiff=True),
    "tiff pages": lambda image, value: encoded(
        image, "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))], tiffinfo={274: value}
    ),
    "tiff with xmp": lambda image, value: encoded(image, "TIFF", tiffinfo={700: xmp(value)}),
    "tiff big-endian": tiff_by_hand(">"),
    "tiff tiled": tiff_by_hand("<", 16),
    "tiff tiled big-endian": tiff_by_hand(">", 32),
}


def lying(orientation: int, upright: Image.Image) -> Image.Image:
    """Return the pixels that a file with this orientation stores."""
    return upright.transpose(UNDO[orientation]) if orientation in UNDO else upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_comes_out_upright_once(name: str, orientation: int) -> None:
    data = WRITERS[name](lying(orientation, Image.fromarray(UPRIGHT)), orientation)
    decoded = np.asarray(decode(data), dtype=int)
    assert decoded.shape == UPRIGHT.shape and look_at(data).size == (80, 60)
    # Compare pixels far from the edges between colours, because compression blurs the edges.
    for row, column in ((8, 8), (8, 70), (50, 8), (50, 70)):
        np.testing.assert_allclose(decoded[row, column], UPRIGHT[row, column], atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "tiff", "tiff lzw", "tiff tiled big-endian"])
def test_the_crop_and_the_views_are_in_the_upright_photo(name: str, orientation: int) -> None:
    large = Image.fromarray(UPRIGHT).resize((960, 720), Image.Resampling.NEAREST)  # large enough for a JPEG's draft
    data = WRITERS[name](lying(orientation, large), orientation)
    crop = load_pixels(data, PREPROCESSING).astype(int)
    for row, column, colour in ((4, 4, (255, 0, 0)), (4, 43, (0, 255, 0)), (43, 4, (0, 0, 255)), (43, 43, (255,) * 3)):
        np.testing.assert_allclose(crop[row, column], colour, atol=6)
    decoded = Decoded(data, PREPROCESSING)
    assert decoded.size[0] > decoded.size[1]
    for box, colour in (
        ((0, 0, 0.45, 0.45), (255, 0, 0)),
        ((0.55, 0, 1, 0.45), (0, 255, 0)),
        ((0, 0.55, 0.4, 1), (0, 0, 255)),
    ):
        np.testing.assert_allclose(decoded.pixels(box).mean(axis=(0, 1)), colour, atol=6)


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff", "tiff big", "tiff tiled big-endian"])
def test_a_value_that_means_nothing_leaves_the_photo_as_it_is(name: str, value: int) -> None:
    decoded = np.asarray(decode(WRITERS[name](Image.fromarray(UPRIGHT), value)), dtype=int)
    np.testing.assert_allclose(decoded[8, 8], UPRIGHT[8, 8], atol=6)
    assert decoded.shape == UPRIGHT.shape


def test_an_orientation_of_several_or_of_no_numbers_does_not_matter() -> None:
    photo = encoded(Image.fromarray(UPRIGHT), "JPEG")
    for kind, count, value in (
        (3, 2, b"\0\6\0\6"), (2, 2, b"6\0\0\0"), (4, 1, b"\0\0\0\6"), (5, 1, b"\xff" * 4), (9, 1, b"\xff" * 4)
    ):  # fmt: skip
        block = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHI", 1, 0x0112, kind, count) + value + bytes(4)
        data = photo[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + photo[2:]
        assert sorted(decode(data).size) == [60, 80] and decode(data).size == decode(data[:-2]).size


def test_damage_in_metadata_does_not_cost_the_orientation() -> None:
    lies = lying(6, Image.fromarray(UPRIGHT))
    jpeg = encoded(lies, "JPEG", exif=exif(6))
    short = b"\xff\xe0\x00\x07JFIF\0"
    for data in (jpeg[:2] + short + jpeg[2:], jpeg[:-2], jpeg[:2] + short + jpeg[2:-2]):
        assert decode(data).size == look_at(data).size == (80, 60) and look_at(data).notes
    png = encoded(lies, exif=exif(6))
    broken = png[:33] + struct.pack(">I", 1) + b"pHYs\0" + struct.pack(">I", 0) + png[33:]
    assert decode(broken).size == (80, 60)


def with_xmp(orientation: int) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp(orientation).decode(), zip=True)
    return text


def with_profile(image: Image.Image, block: bytes, zipped: bool) -> bytes:
    """Return a PNG with EXIF in a text chunk; programs did this before PNG had a chunk for EXIF."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=zipped)
    return encoded(image, pnginfo=text)


def test_mending_keeps_an_orientation_that_is_reported_in_another_place() -> None:
    lies = lying(6, Image.fromarray(UPRIGHT))
    bad = struct.pack(">I", 1) + b"pHYs\0" + struct.pack(">I", 0)
    jpeg = encoded(lies, "JPEG", xmp=xmp(6))
    webp, tiff = encoded(lies, "WEBP", xmp=xmp(6)), encoded(lies, "TIFF", tiffinfo={700: xmp(6)})
    for data in (
        jpeg[:-2],
        jpeg[:2] + b"\xff\xe0\x00\x07JFIF\0" + jpeg[2:],
        webp[:4] + bytes(4) + webp[8:],
        with_tag(tiff, "<", 305, 2, 50, 10**8),
    ):
        assert decode(data).size == (80, 60) and look_at(data).notes
    for zipped in (False, True):
        png = with_profile(lies, exif(6).tobytes(), zipped)
        assert decode(png).size == decode(png[:33] + bad + png[33:]).size == (80, 60)
    png = encoded(lies, pnginfo=with_xmp(6))
    assert decode(png).size == decode(png[:33] + bad + png[33:]).size == (80, 60)


@pytest.mark.parametrize("missing", [1, 2, 4])
def test_a_webp_that_is_cut_within_its_metadata_is_upright_as_far_as_that_tells(missing: int) -> None:
    lies = lying(6, Image.fromarray(UPRIGHT))
    for options in ({"exif": exif(6)}, {"xmp": xmp(6)}):
        assert decode(encoded(lies, "WEBP", **options)[:-missing]).size == (80, 60)


def test_a_profile_that_is_too_large_or_broken_keeps_no_png_out() -> None:
    whole = encoded(Image.fromarray(UPRIGHT))
    for kind, content in (
        (b"zTXt", b"\0" + zlib.compress(bytes(3_000_000))),
        (b"zTXt", b"\0garbage"),
        (b"zTXt", b"\7" + zlib.compress(b"?")),
        (b"zTXt", b""),
        (b"tEXt", b"\n\n\n\nno numbers"),
        (b"tEXt", b"x" * 3_000_000),
    ):
        chunk = kind + b"Raw profile type exif\0" + content
        chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        np.testing.assert_array_equal(np.asarray(decode(whole[:33] + chunk + whole[33:])), UPRIGHT)


def damaged_block(tag: int, order: str, orientation: int = 6) -> bytes:
    """Return a camera's EXIF block with one text whose offset is far outside the block."""
    texts = {271: b"Camera maker\0", 272: b"Camera model\0", 306: b"2026:01:01 00:00:00\0"}
    content, entries = b"", b""
    for number in (271, 272, 274, 306):
        if number == 274:
            entries += struct.pack(order + "HHIHH", number, 3, 1, orientation, 0)
            continue
        place = 60_000 if number == tag else 8 + 2 + 4 * 12 + 4 + len(content)
        entries += struct.pack(order + "HHII", number, 2, len(texts[number]), place)
        content += texts[number]
    head = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "IH", 8, 4)
    return b"Exif\0\0" + head + entries + bytes(4) + content + bytes(8000)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tag", [271, 272, 306])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_tag_of_exif_that_points_outside_does_not_cost_the_orientation(kind: str, tag: int, order: str) -> None:
    data = encoded(lying(6, Image.fromarray(UPRIGHT)), kind, exif=damaged_block(tag, order))
    assert decode(data).size == look_at(data).size == (80, 60)
    if kind == "JPEG":
        assert decode(data[:-2]).size == (80, 60)


def test_an_orientation_beyond_the_end_of_a_cut_block_is_not_made_up() -> None:
    block = damaged_block(271, ">")[: 6 + 10 + 2 * 12 + 6]
    assert decode(encoded(Image.fromarray(UPRIGHT), "JPEG", exif=block)).size == (80, 60)


@pytest.mark.parametrize("name", ["tiff big-endian", "tiff tiled", "tiff lzw"])
def test_a_tag_of_a_tiff_that_points_outside_does_not_cost_the_orientation(name: str) -> None:
    data = WRITERS[name](lying(6, Image.fromarray(UPRIGHT)), 6)
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    data = with_tag(data, order, 271, 2, 70, 10**6)
    assert decode(data).size == look_at(data).size == (80, 60)


def test_photos_of_all_formats_agree_with_pillows_own_way_of_turning() -> None:
    lies = lying(8, Image.fromarray(UPRIGHT))
    for name in ("jpeg", "png", "webp", "tiff", "tiff lzw", "avif"):
        data = WRITERS[name](lies, 8)
        with Image.open(io.BytesIO(data)) as opened:
            np.testing.assert_array_equal(np.asarray(decode(data)), np.asarray(ImageOps.exif_transpose(opened)))


def test_metadata_does_not_turn_an_avif_whose_own_property_turns_it() -> None:
    photo = Image.fromarray(UPRIGHT)
    assert decode(encoded(photo, "AVIF", xmp=xmp(6))).size == (80, 60)
    block = Image.Exif()
    block[0x0103] = 6
    data = encoded(photo, "AVIF", exif=block)
    assert data.count(b"\x01\x03\0\3") == 1
    assert decode(data.replace(b"\x01\x03\0\3", b"\x01\x12\0\3")).size == (80, 60)
