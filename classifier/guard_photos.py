"""The guard's photos: labelled validation photos with the trained model's logits, with which serving judges a backend.

The artifact holds them as guard.safetensors. Imports no torch. The rule is in classifier/guard.py.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from classifier.errors import ArtifactError
from classifier.images import Pixels

GUARD = "guard.safetensors"
MOST_PHOTOS, MOST_BYTES = 128, 12_000_000
# Lossless WebP at method 1 and quality 20. A natural photo of 224 (299) pixels a side takes 51 to 68 (78 to 115) kB, 6 (10) ms to
# write and 1 (2) ms to read. PNG takes 1.3 to 1.5 times the bytes and the time to read; WebP at its best 5 % fewer bytes and a second.
_LOSSLESS = {"lossless": True, "method": 1, "quality": 20}
_DTYPES = {"files": np.uint8, "ends": np.int64, "labels": np.int64, "logits": np.float32, "rounding": np.float64}


@dataclass(frozen=True)
class GuardPhotos:
    """Photos as lossless WebP files, their labels int64 [N], and the trained model's logits at float32 [N, classes].

    `rounding` is the noise (classifier.guard.noise) of the trained model's logits when weights and results of its layers are rounded
    to bfloat16.
    """

    files: Sequence[bytes]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    rounding: float

    def pixels(self, crop: int, start: int, end: int) -> Pixels:
        """Return the pixels, uint8 [n, crop, crop, 3], of the photos from `start` to `end`, which may lie behind the last one.

        Raises ArtifactError for anything but WebP of that size.
        """
        with ThreadPoolExecutor() as threads:  # Pillow decodes outside of Python's lock
            return np.stack(list(threads.map(lambda file: _decoded(file, crop), self.files[start:end])))

    def write(self, path: Path) -> None:
        """Write the photos into a file."""
        from safetensors.numpy import save_file

        stored: dict[str, npt.NDArray[Any]] = {
            "files": np.frombuffer(b"".join(self.files), np.uint8),
            "ends": np.cumsum([len(file) for file in self.files], dtype=np.int64),
            "labels": self.labels,
            "logits": self.logits,
            "rounding": np.array([self.rounding]),
        }
        save_file(stored, path)


def read_guard(folder: Path, classes: int) -> GuardPhotos:
    """Return the guard's photos beside a model of so many classes; raises ArtifactError when the file holds anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / GUARD
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise ArtifactError(f"{path} is not a safetensors file ({error}); save the artifact again") from error
    if {name: array.dtype for name, array in stored.items()} != _DTYPES:
        raise ArtifactError(f"{path} holds {sorted(stored)}, not {', '.join(_DTYPES)}; save the artifact again")
    labels, logits, ends, data = stored["labels"], stored["logits"], stored["ends"], stored["files"]
    count, sizes = len(labels), np.diff(ends, prepend=0)
    fits = labels.shape == ends.shape == (count,) and logits.shape == (count, classes) and 0 < count <= MOST_PHOTOS
    fits = fits and stored["rounding"].shape == (1,)
    if not fits or (sizes <= 0).any() or data.shape != (ends[-1],) or not (0 <= labels.min() <= labels.max() < classes):
        raise ArtifactError(f"{path} holds no labelled photos for {classes} classes; save the artifact again")
    files = tuple(data[end - size : end].tobytes() for end, size in zip(ends, sizes, strict=True))
    return GuardPhotos(files, labels, logits, float(stored["rounding"][0]))


def chosen(labels: Sequence[int], seed: int) -> list[int]:
    """Return the indices of photos to keep, evenly over the classes; labels and seed determine them."""
    order = np.random.default_rng(seed).permutation(len(labels))
    seen: dict[int, int] = {}
    turns = []  # for each photo: the number of earlier photos of its class
    for place in order:
        turns.append(seen.get(labels[place], 0))
        seen[labels[place]] = turns[-1] + 1
    return [int(order[index]) for index in np.argsort(turns, kind="stable")[:MOST_PHOTOS]]


def lossless(pixels: Pixels) -> bytes:
    """Return pixels [H, W, 3] as a lossless WebP file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", **_LOSSLESS)
    return file.getvalue()


def _decoded(file: bytes, crop: int) -> Pixels:
    try:
        with Image.open(io.BytesIO(file), formats=("WEBP",)) as image:
            if image.size == (crop, crop) and image.mode == "RGB":  # the size is known before anything is decoded
                return np.array(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise ArtifactError(f"{GUARD} holds a photo that cannot be read ({error}); save the artifact again") from error
    raise ArtifactError(f"{GUARD} holds a photo that is not {crop} pixels a side; save the artifact again")
