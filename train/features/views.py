"""Views: augmented copies of a photo. The photo's content determines the cut, so the features of views can be kept."""

import hashlib
import math
import random
from dataclasses import dataclass

from classifier.images import Box

AREA = (0.35, 1.0)  # share of the photo
ASPECT = (3 / 4, 4 / 3)
# Raise this number when draw() gives another view for the same key. Then features of old views are no longer found.
VERSION = 1


@dataclass(frozen=True)
class Cut:
    """The cut that makes a view from an upright photo: its box, and whether it is mirrored."""

    box: Box
    flip: bool


def view_key(digest: bytes, number: int) -> bytes:
    """Return the SHA-256 that identifies view `number` (from 1) of the photo with the SHA-256 `digest`."""
    return hashlib.sha256(digest + f"view {VERSION} {number}".encode()).digest()


def draw(key: bytes, width: float, height: float) -> Cut:
    """Return the cut that a key determines in a photo of this size: a random resized crop, mirrored half of the time."""
    # This is torchvision's RandomResizedCrop with a separate generator, which works in many threads at once and draws the
    # same numbers in every version of torch.
    numbers = random.Random(key)
    flip = numbers.random() < 0.5
    for _ in range(10):
        area = width * height * numbers.uniform(*AREA)
        aspect = math.exp(numbers.uniform(*map(math.log, ASPECT)))
        wide, high = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if wide <= width and high <= height:
            left, top = numbers.uniform(0, width - wide), numbers.uniform(0, height - high)
            break
    else:  # the photo is a strip: take its middle, in the nearest allowed shape
        aspect = min(max(width / height, ASPECT[0]), ASPECT[1])
        wide, high = min(width, height * aspect), min(height, width / aspect)
        left, top = (width - wide) / 2, (height - high) / 2
    return Cut((left / width, top / height, (left + wide) / width, (top + high) / height), flip)
