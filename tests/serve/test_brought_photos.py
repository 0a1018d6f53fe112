"""Photos in the formats that users have, sent to a running server: the answers equal those for plain photos."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tests.wire import check_refusal, post

TURNED = 6  # EXIF's value for "turn it by 90 degrees clockwise"
CASES = Path(__file__).parents[3] / "shared" / "cases"


@pytest.fixture(scope="module")
def coffee(samples: Path) -> bytes:
    return (samples / "test" / "coffee" / "000.jpg").read_bytes()


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def probability(url: str, body: bytes, kind: str) -> float:
    """Return the probability of the class coffee, which must be the best."""
    answer = post(url, body, kind)
    assert answer.status == 200, answer.body
    best = answer.json["predictions"][0]
    assert best["label"] == "coffee"
    return float(best["probability"])


def turned_tiff(photo: Image.Image) -> bytes:
    tags = ImageFileDirectory_v2()
    tags[274] = TURNED
    return saved(photo.transpose(Image.Transpose.ROTATE_90), "TIFF", tiffinfo=tags)


def sixteen_bits(photo: Image.Image) -> bytes:
    grey = np.asarray(photo.convert("L")).astype(np.uint16)
    return saved(Image.fromarray(grey * 257), "PNG")


def with_a_large_profile(photo: Image.Image) -> bytes:
    return saved(photo, "PNG", icc_profile=b"x" * 3_000_000)


def without_its_end(photo: Image.Image) -> bytes:
    return saved(photo, "JPEG", quality=95)[:-2]


def avif(photo: Image.Image) -> bytes:
    return saved(photo, "AVIF", quality=95)


@pytest.mark.parametrize(
    ("made", "plain"),
    [
        (turned_tiff, lambda photo: photo),
        (sixteen_bits, lambda photo: photo.convert("L")),
        (with_a_large_profile, lambda photo: photo),
        (without_its_end, lambda photo: photo),
        (avif, lambda photo: photo),
    ],
    ids=["turned tiff", "16 bits", "large profile", "no end", "avif"],
)
@pytest.mark.parametrize("kind", ["binary/octet-stream", "image/jpg"])
def test_an_unusual_file_gets_the_answer_of_the_plain_photo(
    url: str,
    coffee: bytes,
    made: Callable[[Image.Image], bytes],
    plain: Callable[[Image.Image], Image.Image],
    kind: str,
) -> None:
    photo = Image.open(io.BytesIO(coffee)).convert("RGB")
    expected = probability(url, saved(plain(photo), "PNG"), "image/png")
    # The losses of JPEG and AVIF change a probability a little; a turned or darkened photo changes it much.
    assert probability(url, made(photo), kind) == pytest.approx(expected, abs=0.03)


def test_a_body_of_base64_text_is_refused_with_the_remedy(url: str, coffee: bytes) -> None:
    for text in (
        base64.b64encode(coffee),
        base64.encodebytes(coffee),
        b"data:image/jpeg;base64," + base64.b64encode(coffee),
    ):
        assert "base64" in check_refusal(post(url, text, "image/jpeg"), 422)


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are absent")
@pytest.mark.parametrize(
    "name",
    [
        "dark16_max255.png",
        "dark16_max256.png",
        "g12in16.png",
        "jpg_jfif_short.jpg",
        "noeoi.jpg",
        "photo.avif",
        "png_iccp_big.png",
        "png_phys_short.png",
        "png_text_badcrc.png",
        "tiff_orientation6.tif",
    ],
)
def test_the_files_that_once_failed_are_answered(url: str, name: str) -> None:
    assert post(url, (CASES / name).read_bytes(), "application/octet-stream").status == 200


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are absent")
def test_files_that_hold_the_same_photo_get_the_same_answer(url: str) -> None:
    def answer(name: str) -> list[float]:
        predictions = post(url, (CASES / name).read_bytes(), "application/octet-stream").json["predictions"]
        return [item["probability"] for item in sorted(predictions, key=lambda item: item["label"])]

    assert answer("tiff_orientation6.tif") == pytest.approx(answer("tiff_orientation6_upright.png"), abs=1e-3)
    # The photos differ by one step of 65,535 in one pixel.
    assert answer("dark16_max255.png") == pytest.approx(answer("dark16_max256.png"), abs=1e-3)
