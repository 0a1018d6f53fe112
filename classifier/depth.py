"""Scale grey photos of more than 8 bits a sample to 8 bits, by the range that the file states, not by its brightest pixel."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from classifier.errors import PhotoError
from classifier.image_formats.png import significant_bits

_BITS, _INVERTED, _MOST, _FORMAT, _MOST_OF_ANY_TYPE = 258, 262, 281, 339, 341  # tags of TIFF 6.0
_SIGNED = 2
# The values of white that programs use in 32-bit samples when the file does not state it. 1 is used in floats only.
_USUAL = (1, 255, 65_535)
# A smaller share of samples is ignored: it may be a hot pixel, a stamped date or a highlight above white.
_FEW = 0.01
_DARK = (
    "it has samples of 16 bits, and nearly all are below 4,096: it is dark, or it uses only 12 bits and its file does not "
    "say so (PNG: sBIT, TIFF: MaxSampleValue)"
)
_ROWS = 256  # the number of rows scaled at a time; a whole photo in float32 would take four times its memory


def scaled(image: Image.Image, data: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """Return an image with at most 8 bits a sample, and sentences about oddities of its range.

    `image` was decoded from `data`, which may state the range. Raises PhotoError when the value of white is unknown.
    """
    samples = _samples(image)
    if samples is None:
        _refuse_dark_colours(image, data)
        return image, ()
    grey = eight_bits(samples, _white(image, data))
    dark = image.mode.startswith("I;16") and _over(np.asarray(grey), 16) <= _FEW
    if _inverted(image):
        grey = ImageChops.invert(grey)
    if (key := image.info.get("transparency")) is not None:
        grey.paste(255, mask=Image.fromarray(np.asarray(image) == key))
    return grey, ((_DARK,) if dark else ())


def _samples(image: Image.Image) -> npt.NDArray[Any] | None:
    """Return grey samples in their real number type; None when they are unsigned bytes, or colours.

    Trap: Pillow reads signed bytes of a TIFF as unsigned, and unsigned 32-bit integers as signed.
    """
    tags: Any = getattr(image, "tag_v2", {})
    bits, signed = _first(tags.get(_BITS)), _first(tags.get(_FORMAT)) == _SIGNED
    if image.mode == "L" and bits == 8 and signed:
        return np.asarray(image).view(np.int8)
    if not image.mode.startswith(("I", "F")):
        return None
    samples = np.asarray(image)
    return samples.view(np.uint32) if image.mode == "I" and bits == 32 and not signed else samples


def _refuse_dark_colours(image: Image.Image, data: bytes) -> None:
    """Raise PhotoError for a PNG whose colours use only the lower bits of 16: Pillow keeps only the upper 8 bits, so nearly all is lost."""
    bits = significant_bits(data) if data[24:25] == b"\x10" else None
    if bits and _over(np.asarray(image.getchannel(0)), 2 ** (bits - 8)) <= _FEW:
        raise PhotoError(
            f"its colours have {bits} bits in samples of 16, which is not read; save the photo with 8 bits a sample"
        )


def _white(image: Image.Image, data: bytes) -> float | None:
    """Return the sample value that a grey photo's file states as white; None if it follows only from the type of the samples."""
    tags: Any = getattr(image, "tag_v2", None)
    if tags is None:
        bits = significant_bits(data)
        return 2**bits - 1 if bits else None
    if image.mode == "L":
        return 127
    for tag in (_MOST_OF_ANY_TYPE, _MOST):
        most = _first(tags.get(tag))
        # Some programs write the brightest sample of the photo into these tags, not the brightest possible one.
        if most in {2**bits - 1 for bits in (1, *range(8, 33))}:
            return float(most)
    bits, signed = _first(tags.get(_BITS)), _first(tags.get(_FORMAT)) == _SIGNED
    return float(2 ** (bits - signed) - 1) if isinstance(bits, int) and bits <= 16 else None


def _inverted(image: Image.Image) -> bool:
    """Return whether 0 is white in a TIFF. Pillow inverts such samples itself only up to 8 bits."""
    tags: Any = getattr(image, "tag_v2", {})
    return bool(_first(tags.get(_INVERTED)) == 0)


def eight_bits(samples: npt.NDArray[Any], white: float | None = None) -> Image.Image:
    """Return samples as an image of mode L. 0 is black; `white` is the value of white that the file states, or None.

    Raises PhotoError when neither the file nor the type of the samples defines white.
    """
    top = _top(samples, white)
    result = np.empty(samples.shape, np.uint8)
    for rows in range(0, len(samples), _ROWS):
        part = np.clip(np.nan_to_num(samples[rows : rows + _ROWS].astype(np.float32)), 0, np.float32(top))
        result[rows : rows + _ROWS] = np.rint(part / np.float32(top / 255))
    return Image.fromarray(result)


def _top(samples: npt.NDArray[Any], white: float | None) -> float:
    integer = samples.dtype.kind in "ui"
    if samples.dtype.itemsize == 2:
        # If many samples are above the stated white, it does not limit the range: PNG's sBIT may also mean the upper bits.
        return white if white and _over(samples, white) <= _FEW else 65_535
    if np.count_nonzero(samples < 0) > _FEW * samples.size:
        raise PhotoError(
            "its samples are signed, and many are below 0, which is black; save the photo with 8 bits a sample"
        )
    usual = _USUAL[integer:]
    for top in (white,) if white else usual:
        if _over(samples, top) <= _FEW and (white or top == usual[0] or _over(samples, top / 16) > _FEW):
            return top
    kind = f"32-bit {'integers' if integer else 'floats'}"
    raise PhotoError(
        f"its samples are {kind}, and neither the file nor their values say which of them is white "
        f"({', '.join(f'{top:,}' for top in usual)} are understood); save the photo with 8 or 16 bits a sample"
    )


def _over(samples: npt.NDArray[Any], limit: float) -> float:
    """Return the share of samples above a limit; NaN counts as above."""
    return 1 - np.count_nonzero(samples <= limit) / samples.size


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value
