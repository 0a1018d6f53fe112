"""Thumbnails: small, upright JPEGs of real photos; one that cannot be made is left out."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.images import read_photo
from train.report.photos import thumbnails as module
from train.report.photos.thumbnails import SIDE, thumbnails


def opened(text: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    image.load()
    return image


def test_a_photo_becomes_a_small_jpeg_of_the_same_shape(samples: Path) -> None:
    paths = sorted((samples / "test" / "coffee").iterdir())[:3]
    made = thumbnails(paths, read_photo)
    assert list(made) == paths
    for path, text in made.items():
        image = opened(text)
        assert image.format == "JPEG" and max(image.size) == SIDE and len(text) < 6000
        with Image.open(path) as photo:
            assert image.width / image.height == pytest.approx(photo.width / photo.height, rel=0.05)


def test_a_photo_that_lies_on_its_side_is_shown_upright(tmp_path: Path) -> None:
    photo = Image.new("RGB", (400, 200), "white")
    photo.paste("red", (0, 0, 200, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees
    photo.save(tmp_path / "phone.jpg", exif=exif)
    image = opened(thumbnails([tmp_path / "phone.jpg"], read_photo)[tmp_path / "phone.jpg"])
    assert image.size == (32, 64)
    red, green, _ = np.asarray(image)[8, 16]
    assert red > 200 and green < 60


def test_a_photo_that_is_gone_or_damaged_has_no_thumbnail(samples: Path, tmp_path: Path) -> None:
    good = min((samples / "test" / "coffee").iterdir())
    (tmp_path / "text.jpg").write_text("not a photo")
    paths = [tmp_path / "gone.jpg", good, tmp_path / "text.jpg"]
    assert list(thumbnails(paths, read_photo)) == [good]


def test_transparent_and_grey_photos_have_thumbnails_too(tmp_path: Path) -> None:
    Image.new("LA", (90, 30), (255, 0)).save(tmp_path / "clear.png")
    Image.new("I;16", (5, 5), 40_000).save(tmp_path / "deep.png")
    made = thumbnails([tmp_path / "clear.png", tmp_path / "deep.png"], read_photo)
    assert {opened(text).size for text in made.values()} == {(64, 21), (5, 5)}


def test_no_thumbnail_is_begun_when_the_time_is_up(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", -1.0)
    assert thumbnails(sorted((samples / "test" / "coffee").iterdir()), read_photo) == {}
