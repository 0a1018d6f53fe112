"""The demo's photos: crops of photographs in which each tile has its own colour."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from launch.samples import CROPS, GRID, PHOTOGRAPHS, TILES, write_samples

WIDE, HIGH = 40, 30  # the size of a tile, in pixels


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that replaces scikit-image's. Its photographs are grids of tiles, and each tile has one shade of grey."""
    data = tmp_path / "packages" / "skimage" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    greys = 8 + 16 * np.arange(GRID * GRID, dtype=np.uint8).reshape(GRID, GRID)
    for name in PHOTOGRAPHS.values():
        Image.fromarray(greys.repeat(HIGH, 0).repeat(WIDE, 1)).save(data / name, quality=100)
    monkeypatch.syspath_prepend(str(data.parent.parent))
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    yield tmp_path
    sys.modules.pop("skimage", None)


def tile_of(photo: Path) -> int:
    """Return the one tile that a photo shows."""
    with Image.open(photo) as image:
        pixels = np.asarray(image.convert("L")).astype(int)
    assert np.ptp(pixels) <= 4, f"{photo} shows more than one tile"
    return round((float(pixels.mean()) - 8) / 16)


def test_every_split_has_tiles_of_its_own_and_each_photo_shows_one_tile(photographs: Path) -> None:
    folder = photographs / "samples"
    assert write_samples(folder) == len(list(folder.rglob("*.jpg"))) == len(PHOTOGRAPHS) * GRID * GRID * CROPS
    chosen = set()
    for label in PHOTOGRAPHS:
        shown = {split: [tile_of(photo) for photo in sorted((folder / split / label).iterdir())] for split in TILES}
        for split, count in {"train": 10, "validation": 3, "test": 3}.items():
            assert len(set(shown[split])) == count
            assert [shown[split].count(tile) for tile in set(shown[split])] == [3] * count
        assert sorted(set(shown["train"]) | set(shown["validation"]) | set(shown["test"])) == list(range(16))
        chosen.add(tuple(shown["train"]))
    assert len(chosen) > 10  # each photograph has its own order


def test_a_photo_is_a_square_of_seven_tenths_to_all_of_a_tiles_shorter_side(photographs: Path) -> None:
    write_samples(photographs / "samples")
    sizes = []
    for photo in (photographs / "samples").rglob("*.jpg"):
        with Image.open(photo) as image:
            sizes.append(image.size)
    sides = [width for width, height in sizes if width == height]
    assert len(sides) == len(sizes) and min(sides) == 0.7 * HIGH and HIGH - 1 <= max(sides) <= HIGH


def test_the_same_photos_are_written_every_time(photographs: Path) -> None:
    written = []
    for name in ("first", "second"):
        write_samples(photographs / name)
        photos = sorted((photographs / name).rglob("*.jpg"))
        written.append([(photo.relative_to(photographs / name), photo.read_bytes()) for photo in photos])
    assert written[0] and written[0] == written[1]
