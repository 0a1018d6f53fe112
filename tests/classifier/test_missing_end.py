"""A photo without its end is read when all of its pixels are there, and refused when pixels are missing."""

import numpy as np
import pytest
from PIL import Image

from classifier.errors import PhotoError
from classifier.images import decode, load_pixels, look_at
from tests.conftest import SHARED
from tests.image_files import PREPROCESSING, encoded, segment

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).resize((120, 80))
GARBAGE = bytes(range(1, 200))


JPEG_WAYS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "grey": {"optimize": True},
    "with restarts": {"restart_marker_blocks": 4},
    "full colour": {"subsampling": 0},
}


@pytest.mark.parametrize("way", JPEG_WAYS)
def test_a_jpeg_without_its_end_is_read_and_one_that_is_cut_is_not(way: str) -> None:
    image = PHOTO.convert("L") if way == "grey" else PHOTO
    whole = encoded(image, "JPEG", quality=90, **JPEG_WAYS[way])
    expected = np.asarray(decode(whole))
    for data in (whole[:-2], whole[:-1], whole[:-2] + bytes(100), whole + GARBAGE, whole + b"\xff\xd8"):
        np.testing.assert_array_equal(np.asarray(decode(data)), expected)
    start = whole.index(b"\xff\xda")
    for cut in [*range(start, len(whole) - 24, max(1, len(whole) // 40)), len(whole) // 2, len(whole) - 24]:
        with pytest.raises(PhotoError):
            decode(whole[:cut])


def test_a_progressive_jpeg_that_is_cut_between_its_scans_is_not_read() -> None:
    whole = encoded(PHOTO, "JPEG", progressive=True)
    place, cuts = whole.index(b"\xff\xda"), []
    while (place := whole.find(b"\xff\xda", place + 2)) > 0:
        cuts.append(place)
    tables = [whole.rfind(b"\xff\xc4", 0, place) for place in cuts]
    assert len(cuts) >= 5
    for cut in [*cuts, *tables]:
        with pytest.raises(PhotoError):
            decode(whole[:cut])


def zero_tailed(whole: bytes, share: float) -> bytes:
    """Return the file that an interrupted download leaves: the first bytes, then zeros up to the full size."""
    kept = int(len(whole) * share)
    return whole[:kept] + bytes(len(whole) - kept)


def all_zeros_mean_grey(width: int) -> bytes:
    """Return a JPEG whose code for a block without detail is zeros, so that a decoder accepts any number of zeros."""
    image = np.full((width, width), 128, np.uint8)
    image[:16, :16] = np.random.default_rng(1).integers(0, 255, (16, 16))
    return encoded(Image.fromarray(image), "JPEG", optimize=True)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_a_jpeg_whose_rest_is_zeros_is_refused(share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    for data in (
        encoded(Image.fromarray(noise), "JPEG", optimize=True),
        encoded(Image.fromarray(noise), "JPEG", progressive=True),
        all_zeros_mean_grey(400),
        encoded(PHOTO.resize((1200, 900)), "JPEG", optimize=True),
    ):
        with pytest.raises(PhotoError, match="its end is missing, and pixels with it; copy or download it again"):
            decode(zero_tailed(data, share))


def test_photos_whose_rest_is_zeros_are_refused() -> None:
    photos = sorted((SHARED / "photos").glob("**/*.JPEG"))[:60]
    if not photos:
        pytest.skip("no photos beside the project")
    for photo in photos:
        whole = photo.read_bytes()
        for share in (0.6, 0.9):
            with pytest.raises(PhotoError):
                decode(zero_tailed(whole, share))


def test_a_thumbnail_within_a_jpeg_is_not_taken_for_its_end() -> None:
    whole = all_zeros_mean_grey(400)
    exif = segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + encoded(PHOTO.resize((16, 16)), "JPEG"))
    data = whole[:2] + exif + whole[2:]
    assert look_at(data).notes == ()
    with pytest.raises(PhotoError, match="its end is missing"):
        decode(zero_tailed(data, 0.9))


def test_zeros_behind_a_whole_jpeg_cost_nothing_but_a_note() -> None:
    for way in JPEG_WAYS.values():
        whole = encoded(PHOTO, "JPEG", quality=90, **way)
        for data in (whole[:-2] + bytes(1), whole[:-2] + bytes(5000)):
            np.testing.assert_array_equal(np.asarray(decode(data)), np.asarray(decode(whole)))
            assert "its end is damaged" in look_at(data).notes[0]
        assert look_at(whole + bytes(5000)).notes == () and look_at(whole + GARBAGE).notes == ()


def test_a_drafted_jpeg_without_its_end_gives_the_pixels_that_it_has_with_it() -> None:
    for progressive in (False, True):
        whole = encoded(PHOTO.resize((1200, 900)), "JPEG", progressive=progressive)
        assert (load_pixels(whole[:-2], PREPROCESSING) == load_pixels(whole, PREPROCESSING)).all()
        with pytest.raises(PhotoError):
            load_pixels(whole[: len(whole) * 9 // 10], PREPROCESSING)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_a_file_that_is_cut_in_its_pixels_is_refused_whatever_its_metadata(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    options = {} if kind in ("GIF", "BMP") else {"exif": exif}
    whole = encoded(noise, kind, **options)
    for share in (0.5, 0.9):
        with pytest.raises(PhotoError):
            decode(whole[: int(len(whole) * share)])


def test_a_large_jpeg_without_its_end_is_refused_rather_than_decoded_three_times() -> None:
    whole = encoded(Image.new("L", (7000, 6000)), "JPEG")
    assert decode(whole).size == (7000, 6000)
    with pytest.raises(PhotoError, match="without its end is not decoded; save the photo again"):
        decode(whole[:-2])
