"""A folder of photos: splits, classes, and what is refused."""

import shutil
from pathlib import Path

import pytest

from classifier.errors import DataError
from classifier.photos import find_splits, list_photos


@pytest.mark.parametrize("name", ["validation", "valid", "val"])
def test_validation_may_be_spelt_three_ways(tiny: Path, name: str) -> None:
    (tiny / "validation").rename(tiny / name)
    assert find_splits({"training": tiny}) == {
        "train": tiny / "train",
        "validation": tiny / name,
        "test": tiny / "test",
    }


def test_named_channels_are_the_splits(tiny: Path) -> None:
    channels = {"train": tiny / "train", "valid": tiny / "validation"}
    assert find_splits(channels) == {"train": tiny / "train", "validation": tiny / "validation"}


def test_classes_are_the_folder_names_in_order(tiny: Path) -> None:
    photos = list_photos(find_splits({"training": tiny}))
    assert photos.classes == ("brick", "coffee")
    assert [photo.label for photo in photos.splits["train"]] == [0] * 4 + [1] * 4
    assert all(
        photo.path.parent.name == photos.classes[photo.label] for split in photos.splits.values() for photo in split
    )


def test_hidden_files_are_no_photos(tiny: Path) -> None:
    (tiny / "train" / "brick" / ".DS_Store").touch()
    (tiny / "train" / ".ipynb_checkpoints").mkdir()
    assert len(list_photos(find_splits({"training": tiny})).splits["train"]) == 8


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        find_splits({"training": tmp_path / "absent"})


def test_a_folder_without_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train photos in"):
        find_splits({"training": tmp_path})


def test_no_validation_is_refused(tiny: Path) -> None:
    shutil.rmtree(tiny / "validation")
    with pytest.raises(DataError, match=r"no validation photos in .* named validation or valid or val"):
        find_splits({"training": tiny})


def test_one_class_is_refused(tiny: Path) -> None:
    shutil.rmtree(tiny / "train" / "coffee")
    with pytest.raises(DataError, match="only the class 'brick'"):
        list_photos(find_splits({"training": tiny}))


def test_a_class_that_training_lacks_is_refused(tiny: Path) -> None:
    (tiny / "validation" / "coffee").rename(tiny / "validation" / "tea")
    with pytest.raises(DataError, match=r"the class 'tea' is in .*validation but not in .*train"):
        list_photos(find_splits({"training": tiny}))


def test_an_empty_split_is_refused(tiny: Path) -> None:
    shutil.rmtree(tiny / "test")
    (tiny / "test" / "brick").mkdir(parents=True)
    with pytest.raises(DataError, match="test holds no photos"):
        list_photos(find_splits({"training": tiny}))
