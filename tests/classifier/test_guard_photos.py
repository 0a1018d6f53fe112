"""The guard's photos: their choice, and the writing, reading and refusing of their file."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from classifier.errors import ArtifactError
from classifier.guard_photos import GUARD, MOST_PHOTOS, GuardPhotos, chosen, lossless, read_guard


def pixels(count: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    photos = pixels(3)
    guard = GuardPhotos(
        [lossless(photo) for photo in photos], np.array([0, 1, 1]), np.eye(3, 2, dtype=np.float32), 0.02
    )
    guard.write(tmp_path / GUARD)
    return tmp_path


def test_every_pixel_is_kept(written: Path) -> None:
    guard = read_guard(written, 2)
    np.testing.assert_array_equal(guard.pixels(16, 0, 99), pixels(3))
    np.testing.assert_array_equal(guard.pixels(16, 1, 2), pixels(3)[1:2])
    assert guard.labels.tolist() == [0, 1, 1] and guard.rounding == 0.02
    np.testing.assert_array_equal(guard.logits, np.eye(3, 2))


def test_photos_are_chosen_evenly_over_the_classes_and_by_the_seed() -> None:
    labels = [0] * 500 + [1] * 20 + [2] * 3 + list(range(3, 30)) * 10
    found = chosen(labels, 7)
    counts = Counter(labels[place] for place in found)
    assert len(set(found)) == len(found) == MOST_PHOTOS and len(counts) == 30
    assert counts[2] == 3 and {counts[label] for label in range(30) if label != 2} <= {4, 5}
    assert found == chosen(labels, 7) != chosen(labels, 8)
    assert len({labels[place] for place in found[:30]}) == 30  # the first 30 photos include every class
    assert sorted(chosen([5, 5, 6], 0)) == [0, 1, 2]


def test_a_photo_of_another_size_or_format_is_refused(written: Path) -> None:
    with pytest.raises(ArtifactError, match="holds a photo that is not 8 pixels a side"):
        read_guard(written, 2).pixels(8, 0, 1)
    broken = GuardPhotos([b"\x89PNG not WebP"], np.array([0]), np.zeros((1, 2), np.float32), 0.0)
    with pytest.raises(ArtifactError, match="holds a photo that cannot be read"):
        broken.pixels(16, 0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0, 1, 2])}, "holds no labelled photos for 2 classes"),
        ({"labels": np.array([0, -1, 1])}, "holds no labelled photos"),
        ({"labels": np.array([0, 1])}, "holds no labelled photos"),
        ({"logits": np.zeros((3, 3), np.float32)}, "holds no labelled photos"),
        ({"ends": np.array([1, 1, 2])}, "holds no labelled photos"),
        ({"ends": np.array([1, 2, 3])}, "holds no labelled photos"),
        ({"rounding": np.zeros(2)}, "holds no labelled photos"),
        ({"logits": np.zeros((3, 2))}, r"holds \['ends', .*\], not files, ends, labels, logits, rounding"),
        ({"others": np.zeros(1)}, r"holds \['ends', .*\], not files"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(written: Path, changes: dict[str, Any], message: str) -> None:
    save_file(load_file(written / GUARD) | changes, written / GUARD)
    with pytest.raises(ArtifactError, match=message):
        read_guard(written, 2)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / GUARD).write_bytes(b"no tensors")
    with pytest.raises(ArtifactError, match="is not a safetensors file"):
        read_guard(tmp_path, 2)
