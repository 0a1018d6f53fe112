"""The headers of AVIF and AV1, bit by bit as the standards define them (ISO/IEC 14496-12; AV1, 5.3 to 5.5)."""

import struct

import pytest

from classifier.errors import PhotoError
from classifier.image_formats.avif import _boxes, _frame, _leb128, _pixels, first_frame, is_avif, limit_frames, mended

Fields = tuple[tuple[int, int], ...]  # values, each with its number of bits

STILL: Fields = ((0, 3), (1, 1), (1, 1), (4, 5))  # profile, still picture, short header, level
MOVING: Fields = ((0, 3), (0, 1), (0, 1))
SIZE: Fields = ((9, 4), (8, 4), (639, 10), (479, 9))  # bits of the next two numbers - 1; width - 1, height - 1
NO_TIMING: Fields = ((0, 1),)
TIMING: Fields = ((1, 1), (1, 32), (25, 32))
MODEL: Fields = ((1, 1), (6, 5), (1, 32), (3, 5), (4, 5))  # delays of 7 bits
POINT: Fields = ((0, 12), (7, 5))
HIGH_POINT: Fields = ((0, 12), (8, 5), (1, 1))  # a level above 7 has a tier


def packed(*parts: Fields) -> bytes:
    text = "".join(f"{value:0{count}b}" for part in parts for value, count in part)
    return bytes(int(text[place : place + 8].ljust(8, "0"), 2) for place in range(0, len(text), 8))


def code(value: int) -> Fields:
    """Return the fields of `value` in AV1's code uvlc(): n zeros, then value + 1, which has n + 1 bits."""
    length = (value + 1).bit_length() - 1
    return (((0, length),) if length else ()) + ((value + 1, length + 1),)


@pytest.mark.parametrize(
    "header",
    [
        (STILL,),
        (MOVING, NO_TIMING, ((0, 1), (0, 5)), POINT),
        (MOVING, NO_TIMING, ((0, 1), (0, 5)), HIGH_POINT),
        (MOVING, NO_TIMING, ((0, 1), (2, 5)), POINT, HIGH_POINT, POINT),
        (MOVING, NO_TIMING, ((1, 1), (1, 5)), POINT, ((1, 1), (9, 4)), HIGH_POINT, ((0, 1),)),
        (MOVING, TIMING, ((0, 1), (0, 1)), ((0, 1), (0, 5)), POINT),
        (MOVING, TIMING, ((1, 1),), code(0), ((0, 1),), ((0, 1), (0, 5)), POINT),
        (MOVING, TIMING, ((1, 1),), code(41), ((0, 1),), ((0, 1), (0, 5)), POINT),
        (MOVING, TIMING, ((1, 1), (0, 32)), ((0, 1),), ((0, 1), (0, 5)), POINT),  # libaom and dav1d stop at 32 zeros
        (MOVING, TIMING, ((0, 1),), MODEL, ((0, 1), (0, 5)), POINT, ((1, 1), (77, 7), (5, 7), (1, 1))),
        (
            (*MOVING, *TIMING, (0, 1), *MODEL, (1, 1), (1, 5)),
            HIGH_POINT,
            ((1, 1), (77, 7), (5, 7), (0, 1), (1, 1), (3, 4)),
            POINT,
            ((0, 1), (0, 1)),
        ),
    ],
)
def test_the_largest_frame_is_read_from_every_form_of_sequence_header(header: tuple[Fields, ...]) -> None:
    assert _frame(packed(*header, SIZE)) == 640 * 480


def test_a_header_that_is_cut_short_has_no_frame_worth_counting() -> None:
    whole = packed(STILL, SIZE)
    assert len(whole) == 5 and _frame(whole[:-1]) < 640 * 480 and _frame(b"") == 1


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\0", 0),
        (b"\x7f", 127),
        (b"\x80\1", 128),
        (b"\xff\xff\3", 65_535),
        (b"\x80\x80\x80\x80\x80\x80\x80\x80\1", 1 << 56),
    ],
)
def test_a_size_takes_seven_bits_of_each_byte(data: bytes, value: int) -> None:
    # More than eight bytes are not a valid size.
    expected = (value, len(data)) if len(data) <= 8 else (0, 8)
    assert _leb128(data, 0) == expected
    assert _leb128(b"??" + data, 2) == (expected[0], expected[1] + 2)


def sized(kind: int, content: bytes) -> bytes:
    """Return a unit of an AV1 stream whose header states its size."""
    return bytes([kind << 3 | 2, len(content)]) + content


def test_of_an_av1_stream_the_largest_sequence_header_counts_whatever_lies_before_it() -> None:
    small = packed(STILL, ((3, 4), (3, 4), (7, 4), (7, 4)))
    large = packed(STILL, SIZE)
    assert _pixels(sized(1, small)) == 64
    assert _pixels(sized(2, b"") + sized(1, large) + sized(1, small)) == 640 * 480
    extended = bytes([5 << 3 | 6, 0, 2]) + b"??" + bytes([1 << 3 | 6, 0, len(large)])
    assert _pixels(extended + large) == 640 * 480
    assert _pixels(bytes([1 << 3]) + large) == 640 * 480  # a unit without a stated size extends to the end of the data
    assert _pixels(sized(6, large)) == 0 and _pixels(b"") == 0
    assert _pixels(b"\x8a" + sized(1, large)) == 0  # the header's first bit must be 0


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def test_boxes_are_distinguished_by_their_sizes() -> None:
    data = box(b"ftyp", b"1234") + box(b"free", b"") + box(b"meta", b"content")
    assert list(_boxes(data, 0, len(data))) == [(b"ftyp", 8, 12), (b"free", 20, 20), (b"meta", 28, 35)]
    assert list(_boxes(data, 12, len(data) - 1)) == [(b"free", 20, 20)]  # the last box extends beyond the end
    long = struct.pack(">I4sQ", 1, b"mdat", 19) + b"abc"
    assert list(_boxes(long + box(b"free", b""), 0, 27)) == [(b"mdat", 16, 19), (b"free", 27, 27)]
    assert list(_boxes(struct.pack(">I4sQ", 1, b"mdat", 15) + b"abc", 0, 19)) == []
    rest = struct.pack(">I4s", 0, b"mdat") + b"to the end"
    assert list(_boxes(rest, 0, len(rest))) == [(b"mdat", 8, 18)]
    assert list(_boxes(struct.pack(">I4s", 7, b"mdat"), 0, 8)) == []
    assert list(_boxes(b"\0\0\0\0mda", 0, 7)) == []


def located(
    version: int, offset_size: int, base: int, parts: list[tuple[int, int]], method: int = 0, index_size: int = 0
) -> bytes:
    """Return the box iloc for one item."""
    wide = {0: "", 4: "I", 8: "Q"}[offset_size]
    sizes = offset_size << 12 | 4 << 8 | 4 << 4 | index_size
    number = "I" if version == 2 else "H"
    content = struct.pack(">B3xH", version, sizes) + struct.pack(f">{number}{number}", 1, 7)
    content += struct.pack(">H", method) if version else b""
    content += struct.pack(">HIH", 0, base, len(parts))
    for offset, length in parts:
        content += b"\xff" * index_size if version else b""
        content += struct.pack(f">{wide}I", *([offset] if wide else []), length)
    return box(b"iloc", content)


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("offset_size", [0, 4, 8])
def test_an_items_parts_are_found_where_its_location_says(version: int, offset_size: int) -> None:
    frame = bytes([1 << 3 | 2, 5]) + packed(STILL, SIZE)
    head = box(b"ftyp", b"avif" + bytes(4))
    for split in (len(frame), 3) if offset_size else (len(frame),):
        pieces = [frame[:split], frame[split:]] if split < len(frame) else [frame]
        parts, place = [], 0
        for piece in pieces:
            parts.append((place, len(piece)))
            place += len(piece) + 1
        content = b"?".join(pieces)
        meta = box(b"meta", bytes(4) + located(version, offset_size, 0, parts))
        meta = box(b"meta", bytes(4) + located(version, offset_size, len(head + meta) + 8, parts))
        data = head + meta + box(b"mdat", content)
        limit_frames(data, 640 * 480)
        with pytest.raises(PhotoError, match="an AVIF image with frames of more than 307,199 pixels"):
            limit_frames(data, 640 * 480 - 1)


@pytest.mark.parametrize("version", [1, 2])
def test_an_item_may_be_inside_the_header_itself(version: int) -> None:
    frame = bytes([1 << 3 | 2, 5]) + packed(STILL, SIZE)
    content = located(version, 4, 0, [(2, len(frame))], method=1) + box(b"idat", b"??" + frame + bytes(9))
    data = box(b"ftyp", b"avif" + bytes(4)) + box(b"meta", bytes(4) + content)
    limit_frames(data, 640 * 480)
    with pytest.raises(PhotoError):
        limit_frames(data, 640 * 480 - 1)


@pytest.mark.parametrize(("version", "index_size"), [(0, 4), (0, 15), (1, 4), (1, 8), (2, 4), (2, 8)])
def test_the_index_of_a_part_is_passed_over_where_the_version_has_one(version: int, index_size: int) -> None:
    frame = bytes([1 << 3 | 2, 5]) + packed(STILL, SIZE)
    # The item has two parts: with a wrong size of the index field, the second part is read wrongly.
    parts = [(0, 3), (4, len(frame) - 3)]
    head, content = box(b"ftyp", b"avif" + bytes(4)), frame[:3] + b"?" + frame[3:]
    meta = box(b"meta", bytes(4) + located(version, 4, 0, parts, index_size=index_size))
    meta = box(b"meta", bytes(4) + located(version, 4, len(head + meta) + 8, parts, index_size=index_size))
    data = head + meta + box(b"mdat", content)
    limit_frames(data, 640 * 480)
    with pytest.raises(PhotoError, match="an AVIF image with frames of more than 307,199 pixels"):
        limit_frames(data, 640 * 480 - 1)


def test_exif_is_taken_out_of_the_meta_box_alone_wherever_it_is() -> None:
    head, rest = box(b"ftyp", b"avif" + bytes(4)), box(b"mdat", b"Exif")
    assert mended(head + rest + box(b"meta", b"one Exif two")) == head + rest + box(b"meta", b"one none two")
    assert mended(head + box(b"meta", b"Exif") + rest) == head + box(b"meta", b"none") + rest
    assert mended(head + box(b"meta", b"nothing") + rest) is None and mended(head + rest) is None
    assert mended(b"Exif" + box(b"meta", b"Exif")) is None


@pytest.mark.parametrize(
    ("brand", "ours"), [(b"avif", True), (b"avis", True), (b"mif1", True), (b"msf1", True), (b"heic", False)]
)
def test_what_pillow_would_read_as_avif_is_recognised_by_its_brand(brand: bytes, ours: bool) -> None:
    data = box(b"ftyp", brand + bytes(4))
    assert is_avif(data) == ours and not is_avif(box(b"free", brand + bytes(4)))
    assert first_frame(data) == box(b"ftyp", b"avif" + bytes(4))
