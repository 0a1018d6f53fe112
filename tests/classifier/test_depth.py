"""Samples of more than 8 bits are scaled to 8 by the range that their file states, not by their brightest pixel."""

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from classifier.errors import PhotoError
from classifier.images import decode, look_at
from tests.image_files import encoded, with_tag

RAMP = np.tile(np.linspace(0, 1, 256), (64, 1))
GREY = np.rint(RAMP * 255).astype(int)


def grey(data: bytes) -> npt.NDArray[np.int64]:
    pixels = np.asarray(decode(data), dtype=int)
    assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0]


def png16(values: npt.NDArray[Any], bits: int | None = None) -> bytes:
    data = encoded(Image.fromarray(values.astype(np.uint16)))
    told = b"sBIT" + bytes([bits or 0])
    more = struct.pack(">I", 1) + told + struct.pack(">I", zlib.crc32(told)) if bits else b""
    return data[:33] + more + data[33:]


def tiff(values: npt.NDArray[Any], **tags: Any) -> bytes:
    return encoded(Image.fromarray(values), "TIFF", tiffinfo={int(tag[1:]): value for tag, value in tags.items()})


def tiff_by_hand(
    values: npt.NDArray[Any], bits: int, kind: int = 1, inverted: bool = False, zipped: bool = False
) -> bytes:
    """Return a grey TIFF with these samples in their own byte order; `zipped` compresses them with deflate."""
    order = ">" if values.dtype.byteorder == ">" else "<"
    body = zlib.compress(values.tobytes()) if zipped else values.tobytes()
    height, width = values.shape
    if bits == 12:
        width = width * 16 // 12 if values.dtype == np.uint16 else width
    numbers = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 8 if zipped else 1),
        (262, int(not inverted)),
        (273, 8),
        (277, 1),
    ]
    numbers += [(278, height), (279, len(body)), (339, kind)]
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, number) for tag, number in numbers)
    head = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "I", 8 + len(body))
    return head + body + struct.pack(order + "H", len(numbers)) + entries + bytes(4)


@pytest.mark.parametrize("top", [200, 4095, 20_000, 65_535])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_bright_pixel_changes_no_other_pixel(kind: str, top: int) -> None:
    values = np.rint(RAMP * top).astype(np.uint16)
    stamped = [values.copy() for _ in range(4)]
    for copy, corner in zip(stamped, (0, 255, 256, 65_535), strict=True):
        copy[0, 0] = corner
    answers = [grey(encoded(Image.fromarray(copy), kind)) for copy in stamped]
    for answer in answers:
        np.testing.assert_array_equal(answer[1:], answers[0][1:])
    np.testing.assert_array_equal(answers[0][1:], np.rint(values[1:] / 257).astype(int))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15])
def test_a_png_that_tells_its_bits_is_scaled_by_them(bits: int) -> None:
    values = np.rint(RAMP * (2**bits - 1))
    np.testing.assert_allclose(grey(png16(values, bits)), GREY, atol=1)
    values[0, 0] = 65_535  # one defective, much too bright pixel
    np.testing.assert_allclose(grey(png16(values, bits))[1:], GREY[1:], atol=1)
    # By the PNG standard, the samples use the upper bits.
    np.testing.assert_allclose(grey(png16(RAMP * 65_535, bits)), GREY, atol=1)


def test_a_mended_png_keeps_its_bits() -> None:
    values = np.rint(RAMP * 4095)
    text = struct.pack(">I", 9) + b"tEXtComment\0?" + bytes(4)  # a text chunk with a wrong checksum
    for data, place in ((png16(values, 12), 33), (png16(values, 12), 46), (png16(values, 12), -12)):
        np.testing.assert_allclose(grey(data[:place] + text + data[place:]), GREY, atol=1)
    with pytest.raises(PhotoError, match="its colours have 12 bits in samples of 16"):
        data = colours16(values, 12)
        decode(data[:33] + text + data[33:])


def test_the_colour_key_of_sixteen_bits_is_transparent() -> None:
    values = np.rint(RAMP * 65_535).astype(int)
    for column in (0, 77, 255):
        key = int(values[0, column])
        expected = GREY.copy()
        expected[:, column] = 255
        for data, numbers in ((png16(values), [key]), (colours16(values), [key] * 3)):
            place = data.index(b"IDAT") - 4
            chunk = b"tRNS" + struct.pack(f">{len(numbers)}H", *numbers)
            chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
            np.testing.assert_allclose(grey(data[:place] + chunk + data[place:]), expected, atol=1)


def test_bits_that_cannot_be_are_passed_over() -> None:
    for bits in (1, 16, 17, 255):
        np.testing.assert_allclose(grey(png16(RAMP * 65_535, bits)), GREY, atol=1)


def test_dark_samples_of_sixteen_bits_are_read_as_dark_and_reported() -> None:
    for data in (png16(RAMP * 4095), tiff(np.rint(RAMP * 4095).astype(np.uint16))):
        assert grey(data).max() == 16 and "nearly all are below 4,096" in look_at(data).notes[0]
    assert not look_at(png16(RAMP * 4095, 12)).notes and not look_at(png16(RAMP * 65_535)).notes


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_sixteen_bits_is_scaled_in_either_byte_order(order: str) -> None:
    values = np.rint(RAMP * 65_535)
    np.testing.assert_allclose(grey(tiff_by_hand(values.astype(order + "u2"), 16)), GREY, atol=1)
    signed = np.rint(RAMP * 32_767).astype(order + "i2")
    np.testing.assert_allclose(grey(tiff_by_hand(signed, 16, 2)), GREY, atol=1)


@pytest.mark.parametrize("tag", [282, 305, 306, 315])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tag_that_points_outside_the_file_does_not_cost_the_range(order: str, tag: int) -> None:
    signed = tiff_by_hand(np.rint(RAMP * 32_767).astype(order + "i2"), 16, 2)
    floats = tiff_by_hand(RAMP.astype(order + "f4"), 32, 3)
    inverted = tiff_by_hand(RAMP.astype(order + "f4"), 32, 3, inverted=True)
    for data, expected in ((signed, GREY), (floats, GREY), (inverted, 255 - GREY)):
        damaged = with_tag(data, order, tag, 2, 50, 10**8)
        np.testing.assert_allclose(grey(damaged), expected, atol=1)
        assert "its metadata or its end is damaged" in look_at(damaged).notes[0]


def test_a_tag_that_points_outside_the_file_makes_no_padding_transparent() -> None:
    padded = np.dstack([np.repeat(GREY[..., None], 3, axis=2), np.zeros_like(GREY)]).astype(np.uint8)
    data = encoded(Image.fromarray(padded, "RGBX"), "TIFF")
    for tag in (281, 305, 315):
        np.testing.assert_array_equal(grey(with_tag(data, "<", tag, 2, 50, 10**8)), GREY)


def planar(samples: npt.NDArray[Any], colours: int, tile: int = 0) -> bytes:
    """Return an uncompressed TIFF with a plane for each colour, in strips or tiles."""
    order = ">" if samples.dtype.byteorder == ">" else "<"
    height, width, count = samples.shape
    planes = [samples[..., number].tobytes() for number in range(count)]
    offsets = [8 + len(planes[0]) * number for number in range(count)]
    bits = samples.dtype.itemsize * 8
    values = {256: [width], 257: [height], 258: [bits] * count, 259: [1], 262: [colours], 277: [count], 284: [2]}
    values |= {322: [width], 323: [height], 324: offsets, 325: [len(planes[0])] * count} if tile else {}
    values |= {} if tile else {273: offsets, 278: [height], 279: [len(planes[0])] * count}
    values |= {338: [2]} if colours == 2 and count == 4 else {}
    body, entries = b"".join(planes), b""
    for tag, numbers in sorted(values.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(packed) > 4:
            packed, body = struct.pack(order + "I", 8 + len(body)), body + packed
        entries += struct.pack(order + "HHI", tag, 4, len(numbers)) + packed
    head = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "I", 8 + len(body))
    return head + body + struct.pack(order + "H", len(values)) + entries + bytes(4)


@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_planes_of_sixteen_bits_without_compression_are_refused(order: str, tile: int) -> None:
    samples = np.repeat(GREY[:, :64, None], 4, axis=2)
    for colours, count in ((2, 3), (2, 4), (5, 4)):
        with pytest.raises(PhotoError, match=r"planes of 16 bits.*save it again with 8 bits a sample"):
            decode(planar(samples[..., :count].astype(order + "u2") * 257, colours, tile))
    np.testing.assert_array_equal(grey(planar(samples[..., :3].astype("u1"), 2, tile)), GREY[:, :64])


def test_a_tiff_of_twelve_bits_is_scaled_by_twelve_bits() -> None:
    values = np.rint(RAMP * 4095).astype(int)
    first, second = values[:, ::2], values[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8)
    data = tiff_by_hand(packed.reshape(64, -1), 12)
    data = data.replace(struct.pack("<HHII", 256, 4, 1, 384), struct.pack("<HHII", 256, 4, 1, 256))
    np.testing.assert_allclose(grey(data), GREY, atol=1)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_samples_of_every_type_are_read_in_either_byte_order(order: str, inverted: bool, zipped: bool) -> None:
    unsigned = np.rint(RAMP * 65_535).astype(order + "u2"), 16, 1
    floats = RAMP.astype(order + "f4"), 32, 3
    signed = np.rint(RAMP * 32_767).astype(order + "i2"), 16, 2
    wide = np.rint(RAMP * 65_535).astype(order + "i4"), 32, 2
    for values, bits, kind in (unsigned, floats) if inverted else (unsigned, floats, signed, wide):
        data = tiff_by_hand(values, bits, kind, inverted, zipped)
        np.testing.assert_allclose(grey(data), 255 - GREY if inverted else GREY, atol=1, err_msg=f"{bits} {kind}")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
def test_signed_bytes_are_as_bright_as_they_say(inverted: bool, zipped: bool) -> None:
    signed = np.rint(RAMP * 127).astype(np.int8)
    signed[0, :2] = -5  # darker than black
    expected = GREY.copy()
    expected[0, :2] = 0
    data = tiff_by_hand(signed, 8, 2, inverted, zipped)
    np.testing.assert_allclose(grey(data), 255 - expected if inverted else expected, atol=1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_bytes_of_which_many_are_below_black_are_refused(order: str) -> None:
    data = tiff_by_hand(np.rint(RAMP * 255 - 128).astype(order + "i1"), 8, 2)
    with pytest.raises(PhotoError, match="its samples are signed, and many are below 0"):
        decode(data)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("top", [255, 65_535])
def test_a_palette_of_a_tiff_is_read_whether_its_entries_have_eight_bits_or_sixteen(top: int, zipped: bool) -> None:
    compression = "tiff_adobe_deflate" if zipped else "raw"
    photo = Image.fromarray(GREY.astype(np.uint8)).convert("P")
    colours = [255 - level for level in range(256)]
    photo.putpalette([part for level in colours for part in (level, level // 2, 7)])
    data = encoded(photo, "TIFF", compression=compression)
    values = [level * 257 for level in colours], [level // 2 * 257 for level in colours], [7 * 257] * 256
    place = data.index(struct.pack("<HHI", 320, 3, 768)) + 8
    (place,) = struct.unpack_from("<I", data, place)
    entries = np.concatenate(values) // (65_535 // top)
    data = data[:place] + entries.astype("<u2").tobytes() + data[place + 1536 :]
    expected = np.stack([255 - GREY, (255 - GREY) // 2, np.full_like(GREY, 7)], axis=-1)
    np.testing.assert_array_equal(np.asarray(decode(data)), expected)


def test_a_tiff_that_tells_its_largest_sample_is_scaled_by_it_unless_that_is_a_mere_statistic() -> None:
    values = np.rint(RAMP * 4095).astype(np.uint16)
    np.testing.assert_allclose(grey(tiff(values, t281=4095)), GREY, atol=1)
    for statistic in (3000, 300):
        assert grey(tiff(values, t281=statistic)).max() == 16
    # The stated white is too low for many samples.
    np.testing.assert_allclose(grey(tiff(values * 16, t281=255)), GREY, atol=1)


def test_where_zero_is_white_samples_are_turned() -> None:
    values = np.rint(RAMP * 65_535).astype("<u2")
    np.testing.assert_allclose(grey(tiff_by_hand(values, 16, inverted=True)), 255 - GREY, atol=1)
    floats = RAMP.astype("<f4")
    np.testing.assert_allclose(grey(tiff_by_hand(floats, 32, 3, inverted=True)), 255 - GREY, atol=1)


@pytest.mark.parametrize("top", [1, 255, 65_535])
def test_floats_of_the_usual_ranges_are_read_whatever_single_pixels_say(top: int) -> None:
    values = (RAMP * top).astype(np.float32)
    np.testing.assert_allclose(grey(tiff(values)), GREY, atol=1)
    for odd in (1e9, -5.0, np.nan, np.inf, -np.inf):
        values[0, 0] = odd
        np.testing.assert_allclose(grey(tiff(values))[1:], GREY[1:], atol=1)


@pytest.mark.parametrize("top", [255, 65_535])
def test_integers_of_32_bits_are_read_in_the_usual_ranges(top: int) -> None:
    values = np.rint(RAMP * top).astype(np.int32)
    np.testing.assert_allclose(grey(tiff(values)), GREY, atol=1)
    values[0, 0] = 2**31 - 1
    np.testing.assert_allclose(grey(tiff(values))[1:], GREY[1:], atol=1)
    unsigned = tiff_by_hand(np.rint(RAMP * 4095).astype("<u4"), 32)
    told = unsigned.replace(struct.pack("<HHII", 339, 4, 1, 1), struct.pack("<HHII", 281, 4, 1, 4095))
    assert told != unsigned
    np.testing.assert_allclose(grey(told), GREY, atol=1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (RAMP * 5, "neither the file nor their values say which of them is white"),
        (RAMP * 3000, "neither the file nor their values"),
        (RAMP * 1e9, "neither the file nor their values"),
        (np.full((64, 64), np.nan), "neither the file nor their values"),
        (RAMP * 2 - 1, "many are below 0"),
    ],
)
def test_floats_whose_range_cannot_be_known_are_refused(values: npt.NDArray[Any], reason: str) -> None:
    with pytest.raises(PhotoError, match=reason):
        decode(tiff(values.astype(np.float32)))


def test_integers_whose_range_cannot_be_known_are_refused() -> None:
    with pytest.raises(PhotoError, match=r"32-bit integers.*save the photo with 8 or 16 bits a sample"):
        decode(tiff(np.rint(RAMP * 1e9).astype(np.int32)))
    # Unsigned samples are never below 0, however large they are.
    with pytest.raises(PhotoError, match=r"32-bit integers.*save the photo with 8 or 16 bits a sample"):
        decode(tiff_by_hand(np.rint(RAMP * (2**32 - 1)).astype("<u4"), 32))


def colours16(values: npt.NDArray[Any], bits: int | None = None) -> bytes:
    """Return a PNG with 16 bits for each colour; Pillow cannot write one."""
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", 256, 64, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"sBIT", bytes([bits or 16] * 3)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def test_colours_of_sixteen_bits_are_scaled_by_sixteen_bits() -> None:
    for bits in (None, 12, 8):
        np.testing.assert_allclose(grey(colours16(np.rint(RAMP * 65_535), bits)), GREY, atol=1)


def test_colours_in_the_lower_bits_of_sixteen_are_refused() -> None:
    with pytest.raises(PhotoError, match="its colours have 12 bits in samples of 16"):
        decode(colours16(np.rint(RAMP * 4095), 12))
