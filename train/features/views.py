"""Views: augmented copies of a photo whose parameters follow from its content, so that their features can be kept."""

import hashlib
import math
import random
from dataclasses import dataclass

from classifier.images import Box

AREA = (0.35, 1.0)  # share of the photo
ASPECT = (3 / 4, 4 / 3)
# Change it whenever draw() gives another view for the same key, so that no feature of the old one is found again.
VERSION = 1


@dataclass(frozen=True)
class View:
    """A part of the upright photo, mirrored or not."""

    box: Box
    flip: bool


def view_key(digest: bytes, number: int) -> bytes:
    """Return the SHA-256 under which view `number`, from 1, of the photo with this SHA-256 is known."""
    return hashlib.sha256(digest + f"view {VERSION} {number}".encode()).digest()


def draw(key: bytes, width: float, height: float) -> View:
    """Return the view that a key stands for in a photo of this size: random resized crop and horizontal flip."""
    # The way of torchvision's RandomResizedCrop; a generator of its own serves many threads and outlives its versions.
    numbers = random.Random(key)
    flip = numbers.random() < 0.5
    for _ in range(10):
        area = width * height * numbers.uniform(*AREA)
        aspect = math.exp(numbers.uniform(*map(math.log, ASPECT)))
        wide, high = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if wide <= width and high <= height:
            left, top = numbers.uniform(0, width - wide), numbers.uniform(0, height - high)
            break
    else:  # a strip: its middle, as near to the allowed shapes as it can be
        aspect = min(max(width / height, ASPECT[0]), ASPECT[1])
        wide, high = min(width, height * aspect), min(height, width / aspect)
        left, top = (width - wide) / 2, (height - high) / 2
    return View((left / width, top / height, (left + wide) / width, (top + high) / height), flip)
