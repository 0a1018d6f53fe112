"""Prepares photos for the benchmarks: links to some photos of a folder, and photos of another size."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from benchmarks.parts import Figure
from classifier.photos import load_photo_set

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """A folder with train/, validation/ and maybe test/, which hold links to some photos of another folder."""

    folder: Path
    counts: dict[str, int]
    classes: int

    def figures(self) -> Iterator[Figure]:
        """Yield the number of classes and the number of photos of each split."""
        yield Figure("classes", self.classes)
        for split, count in self.counts.items():
            yield Figure(f"photos, {split}", count)


@contextmanager
def selected(
    folder: Path, *, photos: int | None = None, classes: int | None = None, splits: tuple[str, ...] = SPLITS
) -> Iterator[Split]:
    """Make a folder with about `photos` photos of `classes` classes for the time of a `with` block. None means all.

    Each split keeps its share of the photos, and has equal numbers of each class. The classes are spread over the sorted list.
    """
    found = load_photo_set({"training": folder}, validation_share=0.1, seed=0)
    kept = classes or len(found.classes)
    labels = {index * len(found.classes) // kept for index in range(kept)}
    present = [split for split in splits if split in found.splits]
    listed = {split: [photo for photo in found.splits[split] if photo.label in labels] for split in present}
    share = min(1.0, photos / sum(map(len, listed.values()))) if photos else 1.0
    counts = {split: round(share * len(chosen)) for split, chosen in listed.items()}
    with TemporaryDirectory(prefix="bench-") as name:
        for split, chosen in listed.items():
            by_class = [[photo for photo in chosen if photo.label == label] for label in labels]
            # The first photo of each class, then the second photo of each class, and so on.
            in_turn = sorted((number, photo.label, photo) for each in by_class for number, photo in enumerate(each))
            for number, (_, label, photo) in enumerate(in_turn[: counts[split]]):
                target = Path(name) / split / found.classes[label] / f"{number:06d}{photo.path.suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(photo.path.resolve())
        yield Split(Path(name), counts, len(labels))


def resized(path: Path, side: int | None = None) -> bytes:
    """Return a photo as a JPEG file of 12 megapixels, or of `side` pixels a side."""
    with Image.open(path) as image:
        scale = (12_000_000 / (image.width * image.height)) ** 0.5
        # Rounded up, because drafting needs a minimum size.
        size = (side, side) if side else (math.ceil(image.width * scale), math.ceil(image.height * scale))
        stream = io.BytesIO()
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()
