"""A few photos from all splits of a job, to probe a backend and to estimate how many features an earlier job has stored."""

import contextlib
import hashlib
from dataclasses import dataclass

from classifier.errors import PhotoError
from classifier.images import Pixels, load_pixels, read_photo
from classifier.photos import PhotoSet
from classifier.spec import Preprocessing
from train.features.cache import FeatureCache
from train.features.views import view_key
from train.spool.pack import Pack

PHOTOS = 8


@dataclass(frozen=True)
class Sampled:
    """A photo's pixels, uint8 [H, W, 3], and the keys of its features: the photo's own, then those of its views."""

    pixels: Pixels
    keys: tuple[bytes, ...]


def read_sample(photos: PhotoSet, views: int, preprocessing: Preprocessing, pack: Pack | None) -> list[Sampled]:
    """Read PHOTOS photos, evenly spaced; those that cannot be read are left out. Photos of train have `views` views."""
    every = [(photo.path, views * (name == "train")) for name, split in photos.splits.items() for photo in split]
    found = []
    for path, copies in every[:: max(1, len(every) // PHOTOS)][:PHOTOS]:
        with contextlib.suppress(PhotoError):
            data = pack.read(path) if pack is not None else read_photo(path)
            digest = hashlib.sha256(data).digest()
            keys = (digest, *(view_key(digest, number) for number in range(1, copies + 1)))
            found.append(Sampled(load_pixels(data, preprocessing), keys))
            if pack is not None:
                pack.add(path, data)
    return found


def share_missing(sampled: list[Sampled], store: FeatureCache | None) -> float:
    """Return the share, from 0 to 1, of the sampled photos' features that the cache does not hold."""
    keys = [key for one in sampled for key in one.keys]
    return 1.0 if store is None or not keys else sum(store.find(key) is None for key in keys) / len(keys)
