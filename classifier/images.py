"""Bytes to pixels in exactly one way, for training, checking and serving alike. Imports no torch."""

import contextlib
import ctypes
import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from classifier import avif, depth, gif, jpeg, kinds, png, tiff, webp
from classifier.errors import PhotoError
from classifier.recordio import MAX_RECORD, read_record_photo
from classifier.spec import Preprocessing

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the upright photo's width and height

# A 108-megapixel phone photo passes; 20,000 x 20,000 does not. Decoded, the largest PNG takes 480 MB.
MAX_PIXELS = 120_000_000
# Pillow decodes a BMP with run-length compression in Python: 0.3 s for so many pixels, 11 s for the most.
MAX_RUN_LENGTH_PIXELS = 4_000_000
# No other decoders: Pillow has some for formats that nobody sends, and one that starts another program.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# The decoder of AVIF would start a thread a core; photos are decoded side by side already.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Our own limit acts on the header, before any pixel is decoded; Pillow's would only warn between its limit and twice that.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of oddities in EXIF, TIFF and palette data that it can live with; a line for each photo would flood the log.
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_ORIENTATION_TAG = 0x0112
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)  # width and height change places
# Orientations whose upright photo shows what is stored from right to left, or from bottom to top, once axes are swapped.
_MIRRORED, _UPSIDE_DOWN = (2, 3, 7, 8), (3, 4, 6, 7)


def _silence_libtiff() -> None:
    """Keep the library from writing to standard error: nine damaged faxes of 20 kB each made it write 9,000 lines into the log."""
    with contextlib.suppress(OSError, AttributeError):
        maps = Path("/proc/self/maps").read_text().splitlines()
        for path in {line.split(maxsplit=5)[-1] for line in maps if "libtiff" in line}:
            library = ctypes.CDLL(path)
            for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
                getattr(library, name).argtypes = [ctypes.c_void_p]
                getattr(library, name)(None)


_silence_libtiff()
_UNSEEN = "it is wholly transparent, which is read as white"
_MENDED = "its metadata or its end is damaged; its pixels are read"


def limit_pixels(most: int) -> None:
    """Refuse photos of more than `most` pixels from now on, where memory is short."""
    global MAX_PIXELS
    MAX_PIXELS = most


def load_pixels(data: bytes, preprocessing: Preprocessing, *, draft: bool = True) -> Pixels:
    """Decode a photo and return its upright centre crop.

    Returns uint8 [crop, crop, 3], RGB. `draft=False` decodes JPEG at full size, to measure what drafting changes.
    Raises PhotoError when the bytes are empty, no image, damaged, or hold more than MAX_PIXELS.
    """
    return Decoded(data, preprocessing, draft=draft).pixels()


class Decoded:
    """A photo decoded once, to cut the model's centre crop and other parts out of; `size` is its upright width and height.

    Raises what load_pixels raises. A drafted photo holds what the centre crop needs: smaller parts of it are enlarged.
    """

    def __init__(self, data: bytes, preprocessing: Preprocessing, *, draft: bool = True) -> None:
        self._stored = _decode_as_stored(
            data, int(preprocessing.resize * preprocessing.draft_margin) if draft else None
        )
        self._preprocessing, self._draft = preprocessing, draft

    @property
    def size(self) -> tuple[float, float]:
        width, height = self._stored.size
        return (height, width) if self._stored.orientation in _SIDEWAYS else (width, height)

    def pixels(self, box: Box | None = None, *, flip: bool = False) -> Pixels:
        """Return uint8 [crop, crop, 3] of the centre crop, or of a box of the upright photo; `flip` mirrors left and right."""
        width, height = self._stored.size
        if box is None:
            side = min(width, height) * self._preprocessing.crop / self._preprocessing.resize
            left, top = (width - side) / 2, (height - side) / 2
            right, bottom = left + side, top + side
        else:
            left, top, right, bottom = self._stored.box(box)
        # One resize straight from the box: the pixels outside it are never computed. reducing_gap shrinks large PNG,
        # TIFF and WebP images in two steps, as draft does for JPEG.
        image = self._stored.image.resize(
            (self._preprocessing.crop, self._preprocessing.crop),
            _RESAMPLING[self._preprocessing.interpolation],
            box=(left, top, right, bottom),
            reducing_gap=2.0 if self._draft else None,
        )
        # A square can be turned upright after it is cut out, which is cheaper; its box was turned the other way.
        image = self._stored.upright(image)
        if flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.array(image)  # a copy: torch refuses to share memory that is read-only


def decode(data: bytes, *, short_side: int | None = None) -> Image.Image:
    """Decode bytes to an upright RGB image; a JPEG may come smaller, its short side still at least `short_side` pixels.

    Raises PhotoError when the bytes are empty, no image, damaged, or hold more than MAX_PIXELS.
    """
    stored = _decode_as_stored(data, short_side)
    return stored.upright(stored.image)


@dataclass(frozen=True)
class Look:
    """What can be said of a photo: the upright width and height, and what was odd about it though it is read."""

    size: tuple[int, int]
    notes: tuple[str, ...]


def look_at(data: bytes, *, short_side: int | None = None) -> Look:
    """Decode a photo as training would and tell about it; raises what decode raises."""
    stored = _decode_as_stored(data, short_side)
    width, height = stored.full
    return Look((height, width) if stored.orientation in _SIDEWAYS else (width, height), stored.notes)


@dataclass(frozen=True)
class _Stored:
    """An RGB image the way it lies in its file; `size` is what it holds, in pixels that drafting may leave fractional.

    `full` is its size before drafting, `notes` are sentences about what was odd though it is read.
    """

    image: Image.Image
    size: tuple[float, float]
    full: tuple[int, int]
    orientation: int | None
    notes: tuple[str, ...] = ()

    def upright(self, image: Image.Image) -> Image.Image:
        turn = _TRANSPOSITIONS.get(self.orientation or 1)
        return image if turn is None else image.transpose(turn)

    def box(self, upright: Box) -> Box:
        """Return where a box of the upright photo lies, in pixels of what is stored."""
        left, top, right, bottom = upright
        if self.orientation in _SIDEWAYS:
            left, top, right, bottom = top, left, bottom, right
        if self.orientation in _MIRRORED:
            left, right = 1 - right, 1 - left
        if self.orientation in _UPSIDE_DOWN:
            top, bottom = 1 - bottom, 1 - top
        # Rounding must not leave the photo by a hair: Pillow refuses such a box.
        left, top, right, bottom = (min(max(share, 0.0), 1.0) for share in (left, top, right, bottom))
        width, height = self.size
        return width * left, height * top, width * right, height * bottom


def _decode_as_stored(data: bytes, short_side: int | None) -> _Stored:
    if not data:
        raise PhotoError("the file is empty")
    try:
        return _decode(data, short_side)
    except (PhotoError, MemoryError):
        raise
    # Pillow's decoders raise many types for damaged files (OSError, SyntaxError, ValueError, struct.error, EOFError ...).
    except Exception as error:
        reason = kinds.name(data) if isinstance(error, UnidentifiedImageError) else f"damaged image: {error}"
    # Outside of the handler: an error keeps the memory of the photo that it belongs to.
    try:
        whole = next(filter(None, (mended(data) for mended in _MENDERS)), None)
        if whole is not None:
            return _noted(_decode(whole, short_side), _MENDED)
    except (PhotoError, MemoryError):
        raise
    except Exception:  # what was wrong at first tells more
        pass
    raise PhotoError((reason.splitlines() or ["damaged image"])[0][:200])


def _noted(stored: _Stored, note: str) -> _Stored:
    return replace(stored, notes=(note, *stored.notes))


# Each returns a file of its format without what is not needed for the pixels, or None.
_MENDERS = (jpeg.mended, png.mended, tiff.mended, webp.mended, avif.mended)


def _decode(data: bytes, short_side: int | None) -> _Stored:
    jpeg.limit_segments(data)
    png.limit_chunks(data)
    tiff.limit_pieces(data)
    whole = tiff.sound(jpeg.ended(data))
    damaged = (_MENDED,) if whole is not data else ()
    data = gif.still(whole)
    most = MAX_PIXELS
    if avif.is_avif(data):
        most //= 2  # its decoder holds a photo three times
        avif.limit_frames(data, 2 * most)  # transparency is a frame of its own
        data = avif.first_frame(data)
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > most:
        raise PhotoError(f"{width} x {height} pixels are over the limit of {most:,}; make the photo smaller")
    if width * height > MAX_RUN_LENGTH_PIXELS and [tile.codec_name for tile in image.tile] == ["bmp_rle"]:
        raise PhotoError(
            f"{width} x {height} pixels are over the limit of {MAX_RUN_LENGTH_PIXELS:,} for a BMP with run-length "
            "compression; save the photo without"
        )
    tiff.prepare(image)
    drafted = None
    if short_side and min(width, height) >= 2 * short_side:
        scale = min(width, height) / short_side
        # Trap: draft picks the largest reduction that still covers the size asked for, so the size must be rounded
        # up. Trap: it rounds the image up to whole pixels; the box that it returns says what they hold.
        drafted = image.draft(None, (-int(-width // scale), -int(-height // scale)))  # type: ignore[no-untyped-call, unused-ignore]
    image.load()
    # Trap: Pillow turns a TIFF upright while it loads it, and takes the tag away; before that the tag would turn it twice.
    orientation = _orientation(image)
    full = (width, height) if drafted else image.size
    png.scale_key(image, data)
    scaled, notes = depth.scaled(image, data)
    if image.format == "BMP" and _unseen(image):
        scaled = scaled.convert("RGB")  # programs leave the alpha of a BMP at 0, and viewers show it
    elif _unseen(scaled):
        notes += (_UNSEEN,)
    return _Stored(to_rgb(scaled), drafted[1][2:] if drafted else full, full, orientation, damaged + notes)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return any Pillow mode as RGB: transparency over white, samples of more than 8 bits scaled to 8.

    Raises PhotoError where nothing tells which of them is white.
    """
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith(("I", "F")):
        # Trap: convert() clips 16-bit values at 255 instead of scaling them.
        return depth.eight_bits(np.asarray(image)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _unseen(image: Image.Image) -> bool:
    """Say whether an image is wholly transparent."""
    if not image.has_transparency_data or image.crop((0, 0, 1, 1)).convert("RGBA").getpixel((0, 0))[3]:  # type: ignore[index]
        return False  # the first pixel tells it of most photos at no cost
    return image.convert("RGBA").getchannel("A").getextrema() == (0, 0)


def _orientation(image: Image.Image) -> int | None:
    if image.format == "AVIF":
        image.info.pop("xmp", None)  # Pillow would follow it; what turns an AVIF is its own property alone
    told: int | None = None
    with contextlib.suppress(Exception):  # a damaged EXIF block does not make the photo unusable
        told = image.getexif().get(_ORIENTATION_TAG)
    if told is None and image.format != "AVIF":
        # Trap: Pillow passes over all tags that follow one that points outside of the block.
        with contextlib.suppress(PhotoError):
            told = tiff.orientation(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))
    return told


def read_photo(path: Path) -> bytes:
    """Read a photo's bytes; raises PhotoError when the file cannot be read or is longer than any photo."""
    try:
        size = path.stat().st_size
        if size > MAX_RECORD:
            raise PhotoError(f"{size:,} bytes are over the limit of {MAX_RECORD:,} for a photo; make the photo smaller")
        return path.read_bytes()
    except NotADirectoryError:  # a photo in a RecordIO file
        return read_record_photo(path)
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror or error}") from error
