"""Photos of every format, and functions that damage them along their structure: segments, chunks, blocks and directories."""

import io
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from PIL import Image

INTERESTING = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def corpus(photo: bytes) -> dict[str, bytes]:
    """Return one photo as the usual programs, cameras and scanners would write it."""
    image = Image.open(io.BytesIO(photo)).convert("RGB").resize((96, 80))
    alpha = image.convert("RGBA")
    alpha.putalpha(image.convert("L"))
    grey16 = Image.frombytes(
        "I;16", image.size, b"".join(struct.pack("<H", v * 257) for v in image.convert("L").tobytes())
    )
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = 6, "camera", {0x9003: "2026:01:01 00:00:00", 0x829A: (1, 60)}
    more = [image.rotate(90 * turn) for turn in (1, 2, 3)]
    palette, cmyk, bits = image.quantize(64), image.convert("CMYK"), image.convert("1")
    many: dict[str, Any] = {"save_all": True, "append_images": more}
    return {
        "jpeg": _saved(image, "jpeg", quality=80),
        "jpeg-progressive": _saved(image, "jpeg", progressive=True, exif=exif),
        "jpeg-cmyk": _saved(cmyk, "jpeg"),
        "jpeg-grey": _saved(image.convert("L"), "jpeg", restart_marker_blocks=4, comment=b"grey", optimize=True),
        "jpeg-exif": _saved(
            image, "jpeg", exif=exif, icc_profile=bytes(300), xmp=b"<x:xmpmeta>" + b" " * 200, subsampling=2
        ),
        "jpeg-mpo": _saved(image, "mpo", **many),
        "png": _saved(image, "png"),
        "png-alpha": _saved(alpha, "png", exif=exif),
        "png-palette": _saved(palette, "png", transparency=3),
        "png-16": _saved(grey16, "png"),
        "png-bits": _saved(bits, "png"),
        "png-animated": _saved(image, "png", **many),
        "png-interlaced": _interlaced(image),
        "webp": _saved(image, "webp", quality=70, exif=exif),
        "webp-lossless": _saved(alpha, "webp", lossless=True, icc_profile=bytes(200)),
        "webp-alpha": _saved(alpha, "webp", quality=70),
        "webp-animated": _saved(image, "webp", **many),
        "gif": _saved(palette, "gif", transparency=1, comment=b"gif"),
        "gif-animated": _saved(palette, "gif", save_all=True, append_images=[p.quantize(16) for p in more], disposal=2),
        "tiff": _saved(image, "tiff"),
        "tiff-lzw": _saved(image, "tiff", compression="tiff_lzw"),
        "tiff-deflate": _saved(alpha, "tiff", compression="tiff_adobe_deflate"),
        "tiff-jpeg": _saved(image, "tiff", compression="jpeg"),
        "tiff-group4": _saved(bits, "tiff", compression="group4"),
        "tiff-16": _saved(grey16, "tiff"),
        "tiff-cmyk": _saved(cmyk, "tiff", compression="packbits"),
        "tiff-palette": _saved(palette, "tiff"),
        "tiff-big": _saved(image, "tiff", big_tiff=True),
        "tiff-pages": _saved(image, "tiff", **many),
        "bmp": _saved(image, "bmp"),
        "bmp-palette": _saved(palette, "bmp"),
        "avif": _saved(image, "avif", exif=exif),
        "avif-alpha": _saved(alpha, "avif"),
        "avif-animated": _saved(image, "avif", **many),
    }


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    # Saves copies, because Pillow keeps a JPEG's settings on the image that was saved.
    options |= {name: [page.copy() for page in options[name]] for name in ("append_images",) if name in options}
    image.copy().save(buffer, form, **options)
    return buffer.getvalue()


def _interlaced(image: Image.Image) -> bytes:
    """Write a PNG in Adam7's seven passes, which Pillow reads but cannot write."""
    raw = b""
    for left, top, across, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for y in range(top, image.height, down):
            row = [image.getpixel((x, y)) for x in range(left, image.width, across)]
            raw += b"\0" + bytes(value for pixel in row for value in pixel) if row else b""
    head = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, content) for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# --- taking a file apart into pieces that can be joined again


def pieces(data: bytes) -> list[bytes]:
    """Split a file into the parts of its format, in their order."""
    for start, split in _SPLITS.items():
        if data.startswith(start, 4 if start == b"ftyp" else 0):
            return [piece for piece in split(data) if piece]
    raise ValueError(data[:8])


def _jpeg(data: bytes) -> list[bytes]:
    places = [match.start() for match in re.finditer(rb"\xff[\x01-\xfe]", data)]
    found, end = [0], 2
    for place in places:  # leave out markers within a segment
        if place >= end:
            found.append(place)
            alone = data[place + 1] in (1, *range(0xD0, 0xDA))
            end = place + 2 + (0 if alone else int.from_bytes(data[place + 2 : place + 4], "big"))
    return _cut(data, found)


def _png(data: bytes) -> list[bytes]:
    places, place = [0], 8
    while place < len(data):
        places.append(place)
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return _cut(data, places)


def _riff(data: bytes) -> list[bytes]:
    places, place = [0], 12
    while place < len(data):
        places.append(place)
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += (
            24 if data[place : place + 4] == b"ANMF" else 8 + size + size % 2
        )  # a frame's own chunks are pieces too
    return _cut(data, places)


def _gif(data: bytes) -> list[bytes]:
    places, place = [0, 6, 13], 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while place < len(data):
        places.append(place)
        if data[place] == 0x3B:
            break
        place += 2 if data[place] == 0x21 else 11 + (3 << (data[place + 9] & 7) + 1 if data[place + 9] & 0x80 else 0)
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
    return _cut(data, places)


def _tiff(data: bytes) -> list[bytes]:
    """Return the header, the count and each entry of every directory, and the bytes between them."""
    big = data[2] == 43
    count_size, entry_size, offset_size = (8, 20, 8) if big else (2, 12, 4)
    places, directory = {0, 2, 4}, int.from_bytes(data[8:16] if big else data[4:8], "little")
    while directory and directory < len(data) and directory not in places:
        entries = int.from_bytes(data[directory : directory + count_size], "little")
        first = directory + count_size
        places |= {directory, *range(first, first + entries * entry_size + 1, entry_size)}
        last = first + entries * entry_size
        places.add(last + offset_size)
        directory = int.from_bytes(data[last : last + offset_size], "little")
    return _cut(data, sorted(places))


def _bmp(data: bytes) -> list[bytes]:
    return _cut(data, [0, 2, 10, 14, 18, 22, 26, 30, 34, 46, 50, 54])


def _boxes(data: bytes) -> list[bytes]:
    """Return the outermost boxes, and the boxes inside those outermost ones that contain boxes."""
    places, place = [0], 0
    while place < len(data):
        places.append(place)
        place += (
            12 if data[place + 4 : place + 8] == b"meta" else max(8, int.from_bytes(data[place : place + 4], "big"))
        )
    return _cut(data, places)


def _cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    return [data[start:end] for start, end in zip(places, [*places[1:], len(data)], strict=True)]


_SPLITS: dict[bytes, Callable[[bytes], list[bytes]]] = {
    b"\xff\xd8": _jpeg, b"\x89PNG": _png, b"RIFF": _riff, b"GIF8": _gif, b"II": _tiff, b"BM": _bmp,
    b"ftyp": _boxes,
}  # fmt: skip


# --- damaging a photo


@st.composite
def mutants(draw: Any, seeds: dict[str, bytes]) -> bytes:
    """Draw a damaged photo: one to six changes to the pieces of a seed photo. Its checksums and sizes are corrected or left wrong."""
    name = draw(st.sampled_from(sorted(seeds)))
    family = [seed for other, seed in sorted(seeds.items()) if other.split("-")[0] == name.split("-")[0]]
    parts = pieces(seeds[name])
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3, 6]))):
        if not parts:
            break
        # The first pieces are seldom changed: they identify the format, and without them no decoder runs.
        index = draw(st.integers(draw(st.sampled_from([min(2, len(parts) - 1)] * 7 + [0])), len(parts) - 1))
        _CHANGES[draw(st.sampled_from(sorted(_CHANGES)))](draw, parts, index, family)
    data = b"".join(parts)
    if draw(st.sampled_from([True, True, False])):
        data = _put_right(data)
    if draw(st.sampled_from([False] * 9 + [True])):
        data = data[: draw(st.integers(len(data) // 20, len(data)))]
    return data


def _flip(draw: Any, parts: list[bytes], index: int, family: list[bytes]) -> None:
    part = bytearray(parts[index])
    # The most important bytes are at the beginning of a piece.
    last = draw(st.sampled_from([min(32, len(part)), len(part)])) - 1
    for _ in range(draw(st.integers(1, 8))):
        if part:
            part[draw(st.integers(0, max(0, last)))] ^= draw(st.integers(1, 255))
    parts[index] = bytes(part)


def _number(draw: Any, parts: list[bytes], index: int, family: list[bytes]) -> None:
    part = bytearray(parts[index])
    size, order = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from(["little", "big"]))
    place = draw(st.integers(0, max(0, min(40, len(part)) - size)))
    value = draw(st.sampled_from(INTERESTING)) % 256**size
    part[place : place + size] = value.to_bytes(size, order)
    parts[index] = bytes(part)


def _remove(draw: Any, parts: list[bytes], index: int, family: list[bytes]) -> None:
    del parts[index : index + draw(st.integers(1, 3))]


def _repeat(draw: Any, parts: list[bytes], index: int, family: list[bytes]) -> None:
    times = draw(st.sampled_from([1, 2, 10, 100, 1000]))
    parts[index:index] = [parts[index]] * min(times, 1 + 200_000 // max(1, len(parts[index])))


def _swap(draw: Any, parts: list[bytes], index: int, family: list[bytes]) -> None:
    other = draw(st.integers(0, len(parts) - 1))
    parts[index], parts[other] = parts[other], parts[index]


def _shorten(draw: Any, parts: list[bytes], index: int, family: list[bytes]) -> None:
    parts[index] = parts[index][: draw(st.integers(0, len(parts[index])))]


def _lengthen(draw: Any, parts: list[bytes], index: int, family: list[bytes]) -> None:
    place = draw(st.integers(0, len(parts[index])))
    parts[index] = parts[index][:place] + draw(st.binary(min_size=1, max_size=64)) + parts[index][place:]


def _graft(draw: Any, parts: list[bytes], index: int, family: list[bytes]) -> None:
    foreign = pieces(draw(st.sampled_from(family)))
    parts[index : index + draw(st.integers(0, 1))] = [draw(st.sampled_from(foreign))]


_CHANGES: dict[str, Callable[[Any, list[bytes], int, list[bytes]], None]] = {
    "flip": _flip, "number": _number, "remove": _remove, "repeat": _repeat,
    "swap": _swap, "shorten": _shorten, "lengthen": _lengthen, "graft": _graft,
}  # fmt: skip


def _put_right(data: bytes) -> bytes:
    """Correct the checksums of a PNG and the size of a RIFF file, so that a decoder reads the change itself."""
    if data.startswith(b"RIFF"):
        return data[:4] + struct.pack("<I", max(0, len(data) - 8)) + data[8:]
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, place = data[:8], 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        out += _chunk(data[place + 4 : place + 8], data[place + 8 : place + 8 + size])
        place += 12 + size
    return out
