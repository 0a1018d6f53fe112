"""Decodes bytes to one RGB image as it is stored in the file, together with its orientation. Imports no torch.

`classifier.images` turns the image upright and cuts the model's input out of it.
"""

import contextlib
import ctypes
import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from classifier import depth
from classifier.errors import PhotoError
from classifier.image_formats import avif, gif, jpeg, kinds, png, tiff, webp
from classifier.limits import refuse_costly_file, refuse_large_image

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the upright photo's width and height

# Pillow's other decoders are disabled: users do not send their formats, and one of them starts another program.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# By default the AVIF decoder starts a thread for each core; photos are already decoded in parallel.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# classifier.limits refuses large photos by their headers. Pillow would only warn, up to twice its own limit.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns about harmless oddities in EXIF, TIFF and palette data; a line for each photo would flood the log.
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")

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
_SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height
# Orientations in which the upright photo shows the stored one from right to left, or from bottom to top, after width and height
# were exchanged.
_MIRRORED, _UPSIDE_DOWN = (2, 3, 7, 8), (3, 4, 6, 7)


def _silence_libtiff() -> None:
    """Stop libtiff from writing to standard error: nine damaged faxes of 20 kB made it write 9,000 lines into the log."""
    with contextlib.suppress(OSError, AttributeError):
        maps = Path("/proc/self/maps").read_text().splitlines()
        for path in {line.split(maxsplit=5)[-1] for line in maps if "libtiff" in line}:
            library = ctypes.CDLL(path)
            for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
                getattr(library, name).argtypes = [ctypes.c_void_p]
                getattr(library, name)(None)


_silence_libtiff()
_TRANSPARENT = "it is fully transparent, which is read as white"
_MENDED = "its metadata or its end is damaged; its pixels are read"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An RGB image as it is stored in its file.

    `size` is the part of the image that the photo fills, in pixels; drafting may leave it fractional. `full` is the size
    before drafting. `notes` are sentences about oddities of a photo that was read.
    """

    image: Image.Image
    size: tuple[float, float]
    full: tuple[int, int]
    orientation: int | None
    notes: tuple[str, ...] = ()

    @property
    def upright_size(self) -> tuple[float, float]:
        """Width and height of `size` after the image is turned upright."""
        width, height = self.size
        return (height, width) if self.orientation in _SIDEWAYS else (width, height)

    @property
    def upright_full(self) -> tuple[int, int]:
        """Width and height of `full` after the image is turned upright."""
        width, height = self.full
        return (height, width) if self.orientation in _SIDEWAYS else (width, height)

    def upright(self, image: Image.Image) -> Image.Image:
        """Turn this image, or a square cut out of it, upright."""
        turn = _TRANSPOSITIONS.get(self.orientation or 1)
        return image if turn is None else image.transpose(turn)

    def box(self, upright: Box) -> Box:
        """Return the pixel coordinates of a box of the upright photo in the stored image."""
        left, top, right, bottom = upright
        if self.orientation in _SIDEWAYS:
            left, top, right, bottom = top, left, bottom, right
        if self.orientation in _MIRRORED:
            left, right = 1 - right, 1 - left
        if self.orientation in _UPSIDE_DOWN:
            top, bottom = 1 - bottom, 1 - top
        # Rounding may put an edge just outside of the photo, and Pillow refuses such a box.
        left, top, right, bottom = (min(max(share, 0.0), 1.0) for share in (left, top, right, bottom))
        width, height = self.size
        return width * left, height * top, width * right, height * bottom


def decode_as_stored(data: bytes, short_side: int | None, max_pixels: int) -> Stored:
    """Decode a photo, after repair if its metadata or its end is damaged.

    A JPEG may be decoded smaller, but with a short side of at least `short_side` pixels. Raises PhotoError when the data is empty,
    not an image, damaged, costly to decode, or has more than `max_pixels`.
    """
    if not data:
        raise PhotoError("the file is empty")
    try:
        return _decode(data, short_side, max_pixels)
    except (PhotoError, MemoryError):
        raise
    # Pillow's decoders raise many types for damaged files (OSError, SyntaxError, ValueError, struct.error, EOFError ...).
    except Exception as error:
        unread = isinstance(error, UnidentifiedImageError) or tiff.is_webp(data)
        reason = kinds.name(data) if unread else f"damaged image: {error}"
    # This is outside of the `except` block because the error keeps the failed photo's memory alive.
    try:
        whole = next(filter(None, (mended(data) for mended in _MENDERS)), None)
        if whole is not None:
            stored = _decode(whole, short_side, max_pixels)
            return replace(stored, notes=(_MENDED, *stored.notes))
    except (PhotoError, MemoryError):
        raise
    except Exception:  # raise the first error, which is more informative
        pass
    raise PhotoError((reason.splitlines() or ["damaged image"])[0][:200])


# Each function returns its format's file without the parts that the pixels do not need, or None if nothing would change.
_MENDERS = (jpeg.mended, png.mended, tiff.mended, webp.mended, avif.mended)


def _decode(data: bytes, short_side: int | None, max_pixels: int) -> Stored:
    refuse_costly_file(data, max_pixels)
    whole = tiff.sound(jpeg.ended(data))
    damaged = (_MENDED,) if whole is not data else ()
    data = gif.still(whole)
    if avif.is_avif(data):
        data = avif.first_frame(data)
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    refuse_large_image(image, data, max_pixels)
    width, height = image.size
    tiff.prepare(image)
    drafted = None
    if short_side and min(width, height) >= 2 * short_side:
        scale = min(width, height) / short_side
        # Trap: draft picks the largest reduction that still covers the size it is given, so that size is rounded up.
        # Trap: draft rounds the image up to whole pixels; the box that it returns says how many the photo fills.
        drafted = image.draft(None, (-int(-width // scale), -int(-height // scale)))  # type: ignore[no-untyped-call, unused-ignore]
    image.load()
    # Trap: Pillow turns a TIFF upright while it loads it, and then removes the tag. So read the tag after that.
    orientation = _orientation(image)
    full = (width, height) if drafted else image.size
    png.scale_key(image, data)
    scaled, notes = depth.scaled(image, data)
    if image.format == "BMP" and _transparent(image):
        scaled = scaled.convert("RGB")  # programs leave the alpha channel of a BMP at 0, and viewers ignore it
    elif _transparent(scaled):
        notes += (_TRANSPARENT,)
    return Stored(
        image=to_rgb(scaled),
        size=drafted[1][2:] if drafted else full,
        full=full,
        orientation=orientation,
        notes=damaged + notes,
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any Pillow mode as RGB: transparency over white, samples of more than 8 bits scaled to 8.

    Raises PhotoError when neither the file nor the samples define the value of white.
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


def _transparent(image: Image.Image) -> bool:
    """Return whether every pixel is fully transparent."""
    if not image.has_transparency_data or image.crop((0, 0, 1, 1)).convert("RGBA").getpixel((0, 0))[3]:  # type: ignore[index]
        return False  # the first pixel of most photos decides, at no cost
    return image.convert("RGBA").getchannel("A").getextrema() == (0, 0)


def _orientation(image: Image.Image) -> int | None:
    if image.format == "AVIF":
        image.info.pop("xmp", None)  # Pillow would apply XMP's orientation, but only AVIF's own property is valid
    orientation: int | None = None
    with contextlib.suppress(Exception):  # a photo with a damaged EXIF block is still usable
        orientation = image.getexif().get(_ORIENTATION_TAG)
    if orientation is None and image.format != "AVIF":
        # Trap: Pillow ignores every tag after one that points outside of the block.
        with contextlib.suppress(PhotoError):
            orientation = tiff.orientation(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))
    return orientation
