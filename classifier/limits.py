"""Refuse photos that cost far more time or memory than their size suggests, before any pixel is decoded. Imports no torch."""

from PIL import ImageFile

from classifier.errors import PhotoError
from classifier.image_formats import avif, jpeg, png, tiff

# 108-megapixel phone photos pass; 20,000 x 20,000 does not. Decoded, a PNG of this size takes 480 MB.
MAX_PIXELS = 120_000_000
# Pillow decodes run-length compressed BMPs in Python: 0.3 s for this many pixels, 11 s for MAX_PIXELS.
MAX_RUN_LENGTH_PIXELS = 4_000_000


def refuse_costly_file(data: bytes, max_pixels: int) -> None:
    """Raise PhotoError for a file that has too many scans, segments, chunks, strips or pixels in its frames.

    GIF is not covered here: gif.still applies its limits while it skips the extensions.
    """
    jpeg.limit_segments(data)
    png.limit_chunks(data)
    tiff.limit_pieces(data)
    # An AVIF's transparency is a separate frame, so the frames may have twice the pixels of the photo.
    avif.limit_frames(data, 2 * _most(data, max_pixels))


def refuse_large_image(image: ImageFile.ImageFile, data: bytes, max_pixels: int) -> None:
    """Raise PhotoError for an opened image with more pixels than its format may have; `data` is its file."""
    width, height = image.size
    most = _most(data, max_pixels)
    if width * height > most:
        raise PhotoError(f"{width} x {height} pixels are over the limit of {most:,}; make the photo smaller")
    if width * height > MAX_RUN_LENGTH_PIXELS and [tile.codec_name for tile in image.tile] == ["bmp_rle"]:
        raise PhotoError(
            f"{width} x {height} pixels are over the limit of {MAX_RUN_LENGTH_PIXELS:,} for a BMP with run-length "
            "compression; save the photo without"
        )


def _most(data: bytes, max_pixels: int) -> int:
    """Return how many pixels a photo of this format may have: half for AVIF, whose decoder holds a photo three times."""
    return max_pixels // 2 if avif.is_avif(data) else max_pixels
