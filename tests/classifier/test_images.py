"""Bytes to pixels: orientation, modes, limits and damage."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.decoding import FORMATS, to_rgb
from classifier.errors import PhotoError
from classifier.image_formats.tiff import limit_pieces
from classifier.images import Decoded, decode, load_pixels, look_at, read_photo
from classifier.limits import MAX_PIXELS
from tests.image_files import PREPROCESSING, UPRIGHT, bmp_run_length, encoded, jpeg_with, tiff_strips


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(UPRIGHT)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encoded(stored, exif=exif))
    np.testing.assert_array_equal(np.asarray(decoded), UPRIGHT)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F"]
)
def test_every_pillow_mode_becomes_rgb(mode: str) -> None:
    grey = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1)) * 4)
    image = grey.convert("I;16" if mode == "I;16" else mode) if mode not in ("PA", "LAB") else Image.new(mode, (64, 64))
    assert to_rgb(image).mode == "RGB"


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.tile(np.linspace(0, 65535, 64, dtype=np.uint16), (64, 1))
    grey = np.asarray(decode(encoded(Image.fromarray(ramp))))[0, :, 0]
    assert grey[0] == 0 and grey[-1] == 255 and abs(int(grey[32]) - 129) <= 1


def test_transparent_parts_become_white() -> None:
    image = Image.new("RGBA", (10, 10), (200, 0, 0, 0))
    assert np.asarray(decode(encoded(image))).min() == 255


def test_a_photo_of_which_nothing_can_be_seen_is_reported() -> None:
    photo = Image.fromarray(UPRIGHT)
    hidden, half = photo.copy(), photo.copy()
    hidden.putalpha(0)
    half.putalpha(Image.linear_gradient("L").resize(photo.size))
    palette = Image.new("P", (10, 10), 3)
    palette.putpalette([0, 0, 0] * 256)
    for data in (
        encoded(hidden),
        encoded(hidden, "WEBP", lossless=True, exact=True),
        encoded(hidden, "TIFF"),
        encoded(hidden.convert("LA")),
        encoded(palette, transparency=3),
        encoded(palette, "GIF", transparency=3),
    ):
        assert look_at(data).notes == ("it is fully transparent, which is read as white",)
    for image in (half, photo, Image.new("RGBA", (9, 9), "white")):
        assert look_at(encoded(image)).notes == ()


@pytest.mark.parametrize("size", [56, 108, 124])
def test_a_bmp_whose_alpha_is_zero_throughout_is_opaque_as_viewers_show_it(size: int) -> None:
    hidden = Image.fromarray(UPRIGHT)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    for alpha in (0, 255):
        hidden.putalpha(alpha)
        pixels = hidden.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
        header = struct.pack("<IiiHHIIiiII", size, 80, 60, 1, 32, 3, len(pixels), 0, 0, 0, 0) + masks
        head = b"BM" + struct.pack("<IHHI", 14 + size + len(pixels), 0, 0, 14 + size)
        data = head + header.ljust(size, b"\0") + pixels
        np.testing.assert_array_equal(np.asarray(decode(data)), UPRIGHT)
        assert look_at(data).notes == ()


def test_a_palette_with_transparency_becomes_white_where_it_is_transparent() -> None:
    image = Image.new("P", (10, 10), 3)
    image.putpalette([0, 0, 0] * 256)
    assert np.asarray(decode(encoded(image, transparency=3))).min() == 255


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_colour_key_of_a_grey_png_counts_in_its_own_bits(bits: int) -> None:
    most = 2**bits - 1
    for key in {0, 1, most}:
        row = np.resize(np.arange(most + 1), 16)
        packed = np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
        head = struct.pack(">IIBBBBB", 16, 4, bits, 0, 0, 0, 0)
        parts = [(b"IHDR", head), (b"tRNS", struct.pack(">H", key)), (b"IDAT", zlib.compress((b"\0" + packed) * 4))]
        data = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in [*parts, (b"IEND", b"")]
        )
        expected = np.where(row == key, 255, row * 255 // most)
        np.testing.assert_array_equal(np.asarray(decode(data))[0, :, 0], expected, err_msg=str(key))


def test_the_colour_key_of_a_png_of_colours_becomes_white() -> None:
    decoded = np.asarray(decode(encoded(Image.fromarray(UPRIGHT), transparency=(255, 0, 0))))
    assert (decoded[:30, :40] == 255).all()
    np.testing.assert_array_equal(decoded[:, 40:], UPRIGHT[:, 40:])
    np.testing.assert_array_equal(decoded[30:], UPRIGHT[30:])


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data).getpixel((5, 5)) == (255, 0, 0)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    data = encoded(Image.new("RGB", (64, 64), "red").convert("CMYK"), "JPEG", quality=95)
    red, green, blue = decode(data).getpixel((5, 5))  # type: ignore[misc]
    assert red > 240 and green < 15 and blue < 15


def test_a_large_jpeg_is_drafted_but_never_below_the_wanted_size() -> None:
    data = encoded(Image.fromarray(UPRIGHT).resize((1000, 750)), "JPEG")
    assert decode(data, short_side=64).size == (125, 94)
    assert min(decode(data, short_side=342).size) >= 342
    for side, wanted in ((116, 30), (172, 44), (288, 37)):  # side / wanted is just below 4, 4 and 8
        assert min(decode(encoded(Image.new("RGB", (side, side)), "JPEG"), short_side=wanted).size) >= wanted
    drafted, full = load_pixels(data, PREPROCESSING), load_pixels(data, PREPROCESSING, draft=False)
    assert drafted.shape == full.shape == (48, 48, 3)
    assert np.abs(drafted.astype(int) - full.astype(int)).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_crop_is_the_same_whether_it_is_turned_before_or_after_it_is_cut(orientation: int) -> None:
    wide = Image.fromarray(UPRIGHT).resize((160, 60))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(wide, exif=exif)
    turned = encoded(decode(data))
    np.testing.assert_allclose(load_pixels(data, PREPROCESSING), load_pixels(turned, PREPROCESSING), atol=1)


def test_the_crop_is_the_middle_of_the_upright_photo() -> None:
    pixels = load_pixels(encoded(Image.fromarray(UPRIGHT)), PREPROCESSING)
    assert pixels.dtype == np.uint8 and pixels.flags["C_CONTIGUOUS"]
    for (row, column), colour in {
        (2, 2): (255, 0, 0),
        (2, 45): (0, 255, 0),
        (45, 2): (0, 0, 255),
        (45, 45): (255,) * 3,
    }.items():
        assert tuple(pixels[row, column]) == colour


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    side = 20_000
    assert side * side > MAX_PIXELS
    with pytest.raises(PhotoError, match="20000 x 20000 pixels are over the limit"):
        decode(encoded(Image.new("1", (side, side))))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_file_is_damaged(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(PhotoError):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"hello, world\n" * 50, "not an image"), (b"\xff\xd8\xff", "a JPEG image that is damaged")],
)
def test_no_image_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason):
        decode(data)


def test_a_damaged_exif_block_does_not_make_a_photo_unusable() -> None:
    data = encoded(Image.fromarray(UPRIGHT), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert decode(data).size == (80, 60)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_large_photo_of_every_format_is_decoded(kind: str) -> None:
    assert decode(encoded(Image.new("RGB", (2500, 2000), "red"), kind)).size == (2500, 2000)


def test_a_jpeg_may_be_as_large_as_its_metadata_makes_it_but_for_exif() -> None:
    photo = encoded(Image.new("RGB", (300, 300), "teal"), "JPEG")
    comments, exif = (marker + b"\xff\xff" + bytes(65_533) for marker in (b"\xff\xfe", b"\xff\xe1"))
    large = jpeg_with(700 * comments + 20 * exif, 0, photo)
    assert len(large) > 45_000_000
    assert (load_pixels(large, PREPROCESSING) == load_pixels(photo, PREPROCESSING)).all()
    with pytest.raises(PhotoError, match="more than 500 EXIF segments"):
        load_pixels(jpeg_with(501 * exif, 0, photo), PREPROCESSING)


def test_a_bmp_with_run_length_compression_is_decoded_up_to_a_limit() -> None:
    assert decode(bmp_run_length(20_000, 1)).size == (20_000, 1)
    with pytest.raises(PhotoError, match="over the limit of 4,000,000 for a BMP with run-length"):
        decode(bmp_run_length(4_000_001, 1))


def test_a_tiff_in_more_pieces_than_any_photo_has_is_refused_in_every_form() -> None:
    assert decode(tiff_strips(60_000)).size == (8, 8)
    old, new = "HHI4s", "HHQ8s"
    for order, magic, directory, entry in (
        (">", b"MM\0*", struct.pack(">IH", 8, 1), old),
        (">", b"MM*\0", struct.pack(">IH", 8, 1), old),
        ("<", b"II\0*", struct.pack("<IH", 8, 1), old),
        ("<", b"II+\0", struct.pack("<HHQQ", 8, 0, 16, 1), new),
        (">", b"MM\0+", struct.pack(">HHQQ", 8, 0, 16, 1), new),
    ):
        tiles = magic + directory + struct.pack(order + entry, 324, 4, 70_000, b"")
        with pytest.raises(PhotoError, match="70,000 strips or tiles"):
            limit_pieces(tiles)
        limit_pieces(tiles[:-9])  # truncated: the limit ignores it and the decoder refuses it


def test_a_file_that_is_longer_than_any_photo_is_refused_without_being_read(tmp_path: Path) -> None:
    huge = tmp_path / "1.jpg"
    with huge.open("wb") as file:
        file.truncate(2**40)  # a sparse file
    with pytest.raises(PhotoError, match="1,099,511,627,776 bytes are over the limit of 400,000,000 for a photo"):
        read_photo(huge)
    (tmp_path / "2.jpg").write_bytes(b"photo")
    assert read_photo(tmp_path / "2.jpg") == b"photo"
    with pytest.raises(PhotoError, match="cannot be read: No such file"):
        read_photo(tmp_path / "3.jpg")
    with pytest.raises(PhotoError, match="cannot be read: Is a directory"):
        read_photo(tmp_path)


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_the_centre_crop_has_the_pixels_of_pillows_own_resize(kind: str) -> None:
    preprocessing = replace(PREPROCESSING, interpolation=kind)
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[kind]
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    photo, size, box = Image.fromarray(noise), (48, 48), (140, 60, 500, 420)  # 480 pixels * 48 / 64 = 360
    expected = photo.resize(size, method, box)
    np.testing.assert_array_equal(load_pixels(encoded(photo), preprocessing, draft=False), expected)
    in_two_steps = photo.resize(size, method, box, reducing_gap=2.0)
    np.testing.assert_array_equal(load_pixels(encoded(photo), preprocessing), in_two_steps)
    jpeg = encoded(photo, "JPEG")
    for margin, scale in ((1.0, 4), (3.75, 2), (3.8, 1)):  # 480 pixels are decoded as 120, 240 and 480
        drafted = Image.open(io.BytesIO(jpeg))
        drafted.draft(None, (640 // scale, 480 // scale))
        assert drafted.size == (640 // scale, 480 // scale)
        part = tuple(side / scale for side in box)
        pixels = load_pixels(jpeg, replace(preprocessing, draft_margin=margin))
        np.testing.assert_array_equal(pixels, drafted.resize(size, method, part, reducing_gap=2.0))


@pytest.mark.parametrize(
    "read", [decode, partial(load_pixels, preprocessing=PREPROCESSING), partial(Decoded, preprocessing=PREPROCESSING)]
)
def test_a_caller_whose_memory_is_short_lowers_the_limit_of_pixels(read: Callable[..., object]) -> None:
    data = encoded(Image.fromarray(UPRIGHT))
    assert decode(data, max_pixels=80 * 60).size == (80, 60)
    read(data, max_pixels=80 * 60)
    with pytest.raises(PhotoError, match="80 x 60 pixels are over the limit of 4,799; make the photo smaller"):
        read(data, max_pixels=80 * 60 - 1)
    read(data)
