"""Measures how much time draft decoding of JPEG saves at 12 megapixels.

    python -m benchmarks.decode [FOLDER] [--photos N]

Times are milliseconds a photo on one thread: the shortest of REPEATS times for each photo, then the median over the photos.
"""

import sys
from collections.abc import Iterator
from functools import partial

from benchmarks import parts
from benchmarks.machine import LITE, in_turns, sample_photos
from benchmarks.parts import Figure, Options
from benchmarks.photos import resized
from classifier.backbones import build_backbone
from classifier.images import load_pixels

REPEATS = 3


def _measure(options: Options) -> Iterator[Figure]:
    """Time decoding each photo at full size and as a draft, in turns."""
    photos = [resized(path) for path in sample_photos(options.folder, options.photos)]
    for backbone in ("inception_v3", LITE):
        load = partial(load_pixels, preprocessing=build_backbone(backbone)[2])
        taken = [
            in_turns({"full": partial(load, photo, draft=False), "drafted": partial(load, photo)}, REPEATS)
            for photo in photos
        ]
        full, drafted = ([1000 * min(times[way]) for times in taken] for way in ("full", "drafted"))
        slow, fast = Figure.of(f"{backbone}: full size, ms", full), Figure.of(f"{backbone}: drafted, ms", drafted)
        yield from (slow, fast)
        yield Figure(f"{backbone}: drafted, times as fast as full size", slow.value / fast.value)


PARTS = {"drafted": _measure}

if __name__ == "__main__":
    sys.exit(parts.main("decode", PARTS, {"photos": (20, "number of photos")}, folder="../shared/data/photos"))
