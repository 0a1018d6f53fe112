"""What draft decoding of JPEG saves at 12 megapixels, at several values of draft_margin.

    python -m benchmarks.decode [FOLDER] [--photos N]

Times are milliseconds a photo of one thread: the best of REPEATS, and their median over photos.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks import parts
from benchmarks.machine import sample_photos, seconds
from benchmarks.parts import Figure, Options
from benchmarks.photos import resized
from classifier.backbones import build_backbone
from classifier.images import load_pixels

BACKBONES = ("inception_v3", "timm/tf_efficientnet_lite0")
MARGINS = (1.0, 1.5, 2.0)
REPEATS = 3


def _measure(options: Options) -> Iterator[Figure]:
    """Time each photo at full size and drafted with each margin, one after the other."""
    photos = [resized(path) for path in sample_photos(options.folder, options.photos)]
    for backbone in BACKBONES:
        preprocessing = build_backbone(backbone)[2]
        ways = {"full size": partial(load_pixels, preprocessing=preprocessing, draft=False)}
        for margin in MARGINS:
            ways[f"margin {margin}"] = partial(load_pixels, preprocessing=replace(preprocessing, draft_margin=margin))
        best = [dict.fromkeys(ways, float("inf")) for _ in photos]
        for photo, times in zip(photos, best, strict=True):
            for _ in range(REPEATS):
                times |= {name: min(times[name], 1000 * seconds(way, photo)) for name, way in ways.items()}
        full, *drafted = [Figure.of(f"{backbone}: {name}, ms", [times[name] for times in best]) for name in ways]
        yield full
        for figure in drafted:
            yield figure
            yield Figure(f"{figure.name}, times as fast as full size", full.value / figure.value)


PARTS = {"drafted": _measure}

if __name__ == "__main__":
    sys.exit(parts.main("decode", PARTS, {"photos": (20, "timed")}, folder="../shared/data/photos"))
