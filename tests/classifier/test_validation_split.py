"""The validation split drawn from train if no validation photos were given: the seed determines it, equally in every program."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from classifier.errors import DataError
from classifier.photos import PhotoSet, load_photo_set
from tests.conftest import byoc, run_training


def load(channels: Mapping[str, Path], share: float = 0.1, seed: int = 0) -> PhotoSet:
    return load_photo_set(channels, validation_share=share, seed=seed)


def names(photos: PhotoSet, split: str) -> list[str]:
    return [f"{photo.path.parent.name}/{photo.path.name}" for photo in photos.splits[split]]


def folders_of(source: Path, target: Path, counts: Mapping[str, int]) -> Path:
    """Copy the first `count` train photos of each class into class folders below `target`."""
    for label, count in counts.items():
        (target / label).mkdir(parents=True)
        for photo in sorted((source / "train" / label).iterdir())[:count]:
            shutil.copy(photo, target / label)
    return target


def test_without_validation_a_share_of_each_class_of_train_becomes_it(samples: Path) -> None:
    photos = load({"train": samples / "train", "test": samples / "test"}, share=0.2)
    for label in range(14):
        held = {split: [p for p in photos.splits[split] if p.label == label] for split in ("train", "validation")}
        assert len(held["train"]) == 24 and len(held["validation"]) == 6
        assert not set(held["train"]) & set(held["validation"])
    assert len(photos.splits["test"]) == 126
    assert photos.notes == (
        "no validation photos were given: 84 of the 420 train photos are used for validation (validation-share 0.2, seed 0)",
    )


def test_the_split_is_drawn_by_the_seed_alone(samples: Path, tmp_path: Path) -> None:
    first = load({"train": samples / "train"}, seed=1)
    assert load({"train": samples / "train"}, seed=1) == first
    assert names(load({"train": samples / "train"}, seed=2), "validation") != names(first, "validation")
    # The split is the same when the files are made in the opposite order, in another folder, or listed by a manifest.
    copy = tmp_path / "elsewhere"
    files = sorted((samples / "train").glob("*/*"), reverse=True)
    for photo in files:
        (copy / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, copy / photo.parent.name)
    assert names(load({"any": copy}, seed=1), "validation") == names(first, "validation")
    lines = "".join(f"{photo.parent.name}/{photo.name},{photo.parent.name}\n" for photo in files)
    (copy / "photos.csv").write_text("path,label\n" + lines)
    assert names(load({"any": copy}, seed=1), "validation") == names(first, "validation")


@pytest.mark.parametrize(
    ("share", "count", "moved"), [(0.01, 30, 1), (0.1, 2, 1), (0.5, 3, 2), (0.5, 2, 1), (0.1, 1, 0)]
)
def test_a_class_gives_at_least_one_photo_and_never_all(
    samples: Path, tmp_path: Path, share: float, count: int, moved: int
) -> None:
    folder = folders_of(samples, tmp_path / "photos", {"brick": count, "coffee": 10})
    photos = load({"training": folder}, share=share)
    assert sum(name.startswith("brick") for name in names(photos, "validation")) == moved
    assert sum(name.startswith("brick") for name in names(photos, "train")) == count - moved


def test_no_class_with_a_second_photo_is_refused(samples: Path, tmp_path: Path) -> None:
    folder = folders_of(samples, tmp_path / "photos", {"brick": 1, "coffee": 1})
    with pytest.raises(DataError, match=r"none can be split off .*photos, where each class has one photo; add photos"):
        load({"training": folder})


@pytest.mark.slow
def test_a_folder_of_class_folders_trains_and_the_check_predicts_its_split(samples: Path, tmp_path: Path) -> None:
    folder = folders_of(samples, tmp_path / "photos", {"brick": 20, "cat": 1, "coffee": 10})
    (folder / "coffee" / "more").mkdir()
    (folder / "coffee" / "000.jpg").rename(folder / "coffee" / "more" / "000.jpg")
    (folder / "dog").mkdir()
    (folder / "brick" / "000.jpg.json").write_text("{}")
    (folder / "brick" / "Thumbs.db").write_text("x")
    run = run_training(tmp_path / "opt-ml", {"training": folder}, {})
    assert run.status == 0, run.errors
    told = [
        "photos in subfolders of a class's folder: 1 (more/000.jpg); each counts for the class of the topmost folder",
        "class folders without photos: 1 (training/dog); they are left out",
        "files that are not photos: 1 .json (brick/000.jpg.json); they are left out",
        "hidden and system files: 1 (brick/Thumbs.db); they are left out",
        "no validation photos were given: 3 of the 31 train photos are used for validation (validation-share 0.1, seed 0)",
        "classes with a single photo: 1 ('cat'); it stays in train, so validation says nothing about them",
    ]
    job = run.record("job")
    assert job["notes"] == told and all(run.output.count(line) == 1 for line in told)
    assert job["photos"] == {"train": 28, "validation": 3} and run.record("result", split="validation")["count"] == 3
    done = byoc("data", "check", folder)
    told[1] = told[1].replace("training/", "photos/")  # training prints the channel, the check the folder
    assert done.returncode == 0 and all(f"note: {line}" in done.stdout.splitlines() for line in told)
    assert "train           28 photos in 3 classes, 1 to 18 a class" in done.stdout
    assert "validation       3 photos in 2 classes, 1 to 2 a class" in done.stdout


def test_a_photo_copied_within_its_class_is_found_when_the_split_parts_the_copies(
    samples: Path, tmp_path: Path
) -> None:
    folder = folders_of(samples, tmp_path / "photos", {"brick": 2, "coffee": 1})
    shutil.copy(folder / "coffee" / "000.jpg", folder / "coffee" / "copy.jpg")
    done = byoc("data", "check", folder)
    assert done.returncode == 0 and "warning: 1 photos are in two splits" in done.stdout


def test_the_main_job_still_needs_test_photos(samples: Path, tmp_path: Path) -> None:
    folder = folders_of(samples, tmp_path / "photos", {"brick": 4, "coffee": 4})
    arguments = ("--backbone", "timm/tf_efficientnet_lite0", "--set", "validation-share=0.5", "--set", "seed=3")
    done = byoc("run", "--data", folder, *arguments, "--out", tmp_path / "out")
    assert done.returncode == 1 and "holds no test photos" in done.stderr
    assert "note: no validation photos were given: 4 of the 8 train photos" in done.stdout
    assert "(validation-share 0.5, seed 3)" in done.stdout
