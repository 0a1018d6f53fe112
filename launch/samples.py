"""The demo's photos: crops of the free photographs in the scikit-image wheel. Each photograph is a class. Train, validation and test have
different tiles of it, so no pixel is in two splits. All crops
of a class show the same photograph, so a model that distinguishes the classes has not learnt to recognise kinds of things.
"""

import importlib.util
import random
import shutil
from argparse import Namespace
from pathlib import Path

from PIL import Image

from classifier.errors import ConfigError

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
}
# Each photograph is a grid of tiles; each split owns some tiles, and each crop is inside one tile.
GRID = 4
TILES = {"train": 10, "validation": 3, "test": 3}
CROPS = 3  # number of crops from each tile
SIDES = (0.7, 1.0)  # smallest and largest side of a crop, as a share of the tile's shorter side


def write_samples(folder: Path) -> int:
    """Write the labelled photos below `folder` and return their number. The photos are the same at every call."""
    package = importlib.util.find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise ConfigError(
            "the sample photos come from the package scikit-image, which is not installed; run make setup, or pass --data DIR"
        )
    source = Path(package.submodule_search_locations[0]) / "data"
    chance = random.Random(0)
    count = 0
    for label, name in PHOTOGRAPHS.items():
        with Image.open(source / name) as opened:
            photograph = opened.convert("RGB")
        tiles = [(column, row) for row in range(GRID) for column in range(GRID)]
        chance.shuffle(tiles)
        for split, share in TILES.items():
            target = folder / split / label
            target.mkdir(parents=True, exist_ok=True)
            owned, tiles = tiles[:share], tiles[share:]
            for number, tile in enumerate(owned * CROPS):
                _crop(photograph, tile, chance).save(target / f"{number:03d}.jpg", quality=92)
                count += 1
    return count


def command(options: Namespace) -> int:
    """`byoc data sample`: write the samples to a new or empty folder. Raises ConfigError if the folder holds other files."""
    if not all((options.data / split / label).is_dir() for split in TILES for label in PHOTOGRAPHS):
        if options.data.exists() and any(options.data.iterdir()):
            raise ConfigError(f"{options.data} is not empty and does not hold the samples; name a new folder")
        try:
            count = write_samples(options.data)
        except BaseException:
            for split in TILES:
                shutil.rmtree(options.data / split, ignore_errors=True)
            raise
        print(f"wrote {count} crops of {len(PHOTOGRAPHS)} photographs to {options.data}")
    print(
        f"{options.data}: crops of the {len(PHOTOGRAPHS)} free photographs inside scikit-image, one class each; train, "
        "validation and test are different tiles of the same photograph. It shows that everything works; its accuracy "
        "says nothing about your photos."
    )
    return 0


def _crop(photograph: Image.Image, tile: tuple[int, int], chance: random.Random) -> Image.Image:
    width, height = photograph.width // GRID, photograph.height // GRID
    side = int(chance.uniform(*SIDES) * min(width, height))
    x = tile[0] * width + chance.randint(0, width - side)
    y = tile[1] * height + chance.randint(0, height - side)
    return photograph.crop((x, y, x + side, y + side))
