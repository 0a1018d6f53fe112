"""Views: the random crop that a key determines, and its pixels."""

import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image

from classifier.backbones import transforms
from classifier.images import Decoded, decode, load_pixels
from tests.image_files import PREPROCESSING, encoded
from train.features.views import AREA, ASPECT, draw, view_key

DIGEST = hashlib.sha256(b"a photo").digest()


def keys(count: int) -> list[bytes]:
    return [view_key(DIGEST, number) for number in range(1, count + 1)]


def test_a_key_always_draws_the_same_view_and_another_number_another() -> None:
    assert draw(keys(1)[0], 640, 480) == draw(keys(1)[0], 640, 480)
    assert len(set(keys(50)) | {DIGEST}) == 51
    assert len({draw(key, 640, 480) for key in keys(50)}) == 50


def test_the_drawn_boxes_are_spread_like_those_of_torchvision() -> None:
    width, height = 640, 480
    boxes = np.array([draw(key, width, height).box for key in keys(4000)])
    wide, high = (boxes[:, 2] - boxes[:, 0]) * width, (boxes[:, 3] - boxes[:, 1]) * height
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-9
    ours = np.stack([wide * high / (width * height), wide / high, boxes[:, 0], boxes[:, 1]], 1)
    assert ours[:, 0].min() >= AREA[0] - 1e-9
    assert ASPECT[0] - 1e-9 <= ours[:, 1].min() and ours[:, 1].max() <= ASPECT[1] + 1e-9
    crop = transforms().RandomResizedCrop(224, scale=AREA, ratio=ASPECT)
    canvas = torch.empty(1, height, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = [crop.make_params([canvas]) for _ in range(4000)]
    theirs = np.array(
        [
            (
                d["height"] * d["width"] / (width * height),
                d["width"] / d["height"],
                d["left"] / width,
                d["top"] / height,
            )
            for d in drawn
        ]
    )
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.02)
    np.testing.assert_allclose(ours.std(0), theirs.std(0), atol=0.02)
    assert 0.45 < np.mean([draw(key, width, height).flip for key in keys(4000)]) < 0.55


@pytest.mark.parametrize(("width", "height"), [(2000, 100), (100, 2000)])
def test_a_strip_too_thin_for_any_shape_gives_the_middle_that_torchvision_gives(width: int, height: int) -> None:
    crop = transforms().RandomResizedCrop(224, scale=AREA, ratio=ASPECT)
    middle = crop.make_params([torch.empty(1, height, width)])  # torchvision uses no random number for a strip
    left, top, wide, high = (middle[name] for name in ("left", "top", "width", "height"))
    for key in keys(20):
        box = np.array(draw(key, width, height).box) * (width, height, width, height)
        np.testing.assert_allclose(box, (left, top, left + wide, top + high), atol=1)  # torchvision rounds to pixels
        assert box[0] == pytest.approx(width - box[2]) and box[1] == pytest.approx(height - box[3])


@pytest.mark.parametrize(("width", "height"), [(2000, 100), (100, 2000), (1, 1)])
def test_the_view_of_a_strip_or_of_one_pixel_is_inside_and_keeps_to_the_shapes(width: int, height: int) -> None:
    for key in keys(20):
        left, top, right, bottom = draw(key, width, height).box
        assert 0 <= left < right <= 1 + 1e-9 and 0 <= top < bottom <= 1 + 1e-9
        assert ASPECT[0] - 1e-9 <= (right - left) * width / ((bottom - top) * height) <= ASPECT[1] + 1e-9


def smooth(width: int, height: int) -> Image.Image:
    """Return a photo whose four sides differ and which resampling hardly changes."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, (across + down) / 2], 2).astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_view_of_a_turned_photo_is_that_of_the_upright_one(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(smooth(1200, 900), kind, exif=exif)
    upright = encoded(decode(data))
    turned, straight = Decoded(data, PREPROCESSING), Decoded(upright, PREPROCESSING)
    ratio = turned.size[0] / turned.size[1]
    assert ratio == pytest.approx(straight.size[0] / straight.size[1])
    for key in keys(8):
        view = draw(key, *straight.size)
        np.testing.assert_allclose(
            turned.pixels(view.box, flip=view.flip).astype(int),
            straight.pixels(view.box, flip=view.flip).astype(int),
            atol=4,
        )


def test_a_view_holds_its_box_and_the_whole_photo_its_edges() -> None:
    decoded = Decoded(encoded(smooth(1200, 900)), PREPROCESSING)
    right_half = decoded.pixels((0.5, 0, 1, 1))
    assert right_half.shape == (48, 48, 3) and right_half[:, 0, 0].min() > 120 and right_half[:, -1, 0].min() > 245
    mirrored = decoded.pixels((0.5, 0, 1, 1), flip=True)
    np.testing.assert_array_equal(mirrored, right_half[:, ::-1])
    whole = decoded.pixels((-1e-12, 0, 1 + 1e-12, 1))
    assert whole[0, 0].max() < 10 and whole[-1, -1].min() > 245


def test_decoding_once_gives_the_centre_crop_that_serving_sees() -> None:
    buffer = io.BytesIO()
    smooth(1200, 900).save(buffer, "JPEG")
    decoded = Decoded(buffer.getvalue(), PREPROCESSING)
    decoded.pixels((0, 0, 0.5, 0.5), flip=True)
    np.testing.assert_array_equal(decoded.pixels(), load_pixels(buffer.getvalue(), PREPROCESSING))


def test_a_view_has_35_to_100_percent_of_the_area_and_a_shape_between_3_by_4_and_4_by_3() -> None:
    boxes = [draw(view_key(bytes([number % 256, number // 256]), 1), 1000, 1000).box for number in range(4000)]
    sides = [(right - left, bottom - top) for left, top, right, bottom in boxes]
    shapes, areas = [wide / high for wide, high in sides], [wide * high for wide, high in sides]
    assert [min(shapes), max(shapes)] == pytest.approx([3 / 4, 4 / 3], rel=0.01)
    assert [min(areas), max(areas)] == pytest.approx([0.35, 1], rel=0.02)
    # The limits hold only nearly, because rounding affects the boxes' edges.
    assert min(shapes) > 3 / 4 - 1e-9 and max(shapes) < 4 / 3 + 1e-9 and min(areas) > 0.35 - 1e-9
