"""Turns bytes into pixels in exactly one way, for training, checking and serving. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from classifier.decoding import Box, decode_as_stored
from classifier.errors import PhotoError
from classifier.limits import MAX_PIXELS
from classifier.recordio import MAX_RECORD, read_record_photo
from classifier.spec import Preprocessing

__all__ = ["Box", "Decoded", "Look", "Pixels", "decode", "load_pixels", "look_at", "read_photo"]

Pixels = npt.NDArray[np.uint8]

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def load_pixels(
    data: bytes, preprocessing: Preprocessing, *, draft: bool = True, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Decode a photo and return its upright centre crop, uint8 [crop, crop, 3], RGB.

    `draft=False` decodes JPEG at full size, to measure the effect of drafting. Raises PhotoError when the data is empty,
    not an image, damaged, costly to decode, or has more than `max_pixels`.
    """
    return Decoded(data, preprocessing, draft=draft, max_pixels=max_pixels).pixels()


class Decoded:
    """A photo that is decoded once; the model's centre crop and other parts can be cut out of it.

    Raises the errors of load_pixels. A drafted JPEG has just enough pixels for the centre crop; smaller parts are enlarged.
    """

    def __init__(
        self, data: bytes, preprocessing: Preprocessing, *, draft: bool = True, max_pixels: int = MAX_PIXELS
    ) -> None:
        short_side = int(preprocessing.resize * preprocessing.draft_margin) if draft else None
        self._stored = decode_as_stored(data, short_side, max_pixels)
        self._preprocessing, self._draft = preprocessing, draft

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the upright photo as decoded, in pixels."""
        return self._stored.upright_size

    def pixels(self, box: Box | None = None, *, flip: bool = False) -> Pixels:
        """Return the centre crop, or a box of the upright photo, as uint8 [crop, crop, 3]; `flip` mirrors left and right."""
        width, height = self._stored.size
        if box is None:
            side = min(width, height) * self._preprocessing.crop / self._preprocessing.resize
            left, top = (width - side) / 2, (height - side) / 2
            right, bottom = left + side, top + side
        else:
            left, top, right, bottom = self._stored.box(box)
        # Resizing straight from the box computes no pixel outside of it. reducing_gap shrinks large PNG, TIFF and WebP
        # images in two steps, as draft does for JPEG.
        image = self._stored.image.resize(
            (self._preprocessing.crop, self._preprocessing.crop),
            _RESAMPLING[self._preprocessing.interpolation],
            box=(left, top, right, bottom),
            reducing_gap=2.0 if self._draft else None,
        )
        # The small square is turned upright, not the whole photo: that is cheaper. `box` accounts for it.
        image = self._stored.upright(image)
        if flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.array(image)  # a copy: torch refuses to share read-only memory


def decode(data: bytes, *, short_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a photo to an upright RGB image; a JPEG may be decoded smaller, but with a short side of at least `short_side` pixels.

    Raises what load_pixels raises.
    """
    stored = decode_as_stored(data, short_side, max_pixels)
    return stored.upright(stored.image)


@dataclass(frozen=True)
class Look:
    """A photo's upright width and height, and sentences about oddities of a photo that can be read."""

    size: tuple[int, int]
    notes: tuple[str, ...]


def look_at(data: bytes, *, short_side: int | None = None) -> Look:
    """Decode a photo as training would and describe it; raises the errors of load_pixels."""
    stored = decode_as_stored(data, short_side, MAX_PIXELS)
    return Look(stored.upright_full, stored.notes)


def read_photo(path: Path) -> bytes:
    """Return a photo's bytes, from its own file or from a RecordIO file.

    Raises PhotoError when the file cannot be read or is longer than MAX_RECORD bytes.
    """
    try:
        size = path.stat().st_size
        if size > MAX_RECORD:
            raise PhotoError(f"{size:,} bytes are over the limit of {MAX_RECORD:,} for a photo; make the photo smaller")
        return path.read_bytes()
    except NotADirectoryError:  # a photo in a RecordIO file
        return read_record_photo(path)
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror or error}") from error
