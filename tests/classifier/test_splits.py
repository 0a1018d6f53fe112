"""The channels and folders that are read as splits, and classes whose names only resemble a split's name."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from classifier.errors import DataError
from classifier.photos import PhotoSet, load_photo_set


def load(channels: Mapping[str, Path]) -> PhotoSet:
    return load_photo_set(channels, validation_share=0.1, seed=0)


@pytest.mark.parametrize("name", ["validation", "valid", "val", "eval", "evaluation", "dev", "Validation", "VAL"])
def test_validation_has_many_spellings(tiny: Path, name: str) -> None:
    (tiny / "validation").rename(tiny / name)
    photos = load({"training": tiny})
    assert {photo.path.parent.parent for photo in photos.splits["validation"]} == {tiny / name}
    assert photos.splits.keys() == {"train", "validation", "test"} and not photos.notes


@pytest.mark.parametrize(
    "names",
    [
        {"training": "train", "validation": "validation"},
        {"training": "train", "testing": "test"},
        {"training": "train", "test": "test"},
        {"Training": "train", "eval": "validation", "Test": "test"},
        {"train": "train", "val": "validation", "testing": "test"},
    ],
)
def test_training_beside_another_split_is_train(tiny: Path, names: dict[str, str]) -> None:
    photos = load({channel: tiny / folder for channel, folder in names.items()})
    expected = {folder: 8 if folder == "train" else 4 for folder in names.values()}
    if "validation" not in expected:
        assert photos.notes[0].startswith("no validation photos were given: 2 of the 8 train photos")
        expected |= {"train": 6, "validation": 2}
    assert {split: len(held) for split, held in photos.splits.items()} == expected


@pytest.mark.parametrize("channel", ["training", "train", "images", "Train"])
def test_one_channel_of_any_name_may_hold_the_splits(tiny: Path, channel: str) -> None:
    (tiny / "train").rename(tiny / "Training")
    photos = load({channel: tiny})
    assert photos.classes == ("brick", "coffee") and photos.splits.keys() == {"train", "validation", "test"}


def test_a_class_may_be_named_like_a_split_in_a_channel_named_train(tiny: Path) -> None:
    (tiny / "train" / "brick").rename(tiny / "train" / "train")
    assert load({"train": tiny / "train"}).classes == ("coffee", "train")


def test_splits_below_a_class_or_beside_other_channels_are_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"tiny holds the folders test, train, validation, which are splits and not classes"
    ):
        load({"train": tiny, "validation": tiny / "validation"})
    shutil.copytree(tiny, tmp_path / "all" / "textures")
    with pytest.raises(
        DataError, match=r"all/textures holds the folders test, train, validation, which are .* name .*all/text"
    ):
        load({"training": tmp_path / "all"})


def test_named_channels_are_the_splits(tiny: Path) -> None:
    photos = load({"train": tiny / "train", "valid": tiny / "test"})
    assert {split: len(held) for split, held in photos.splits.items()} == {"train": 8, "validation": 4}
    assert photos.splits["validation"][0].path.is_relative_to(tiny / "test")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("TrainSet", "valset"),
        ("train-images", "Val 2017"),
        ("my.training.data", "eval_data"),
    ],
)
def test_class_folders_below_folders_whose_names_hold_those_of_splits_are_refused(
    tiny: Path, tmp_path: Path, train: str, test: str
) -> None:
    for split, place in (("train", train), ("test", test)):
        shutil.copytree(tiny / split, tmp_path / "all" / place)
    first, second = sorted([train.split("/")[0], test.split("/")[0]])
    with pytest.raises(
        DataError,
        match=rf"all holds the folders {first}, {second}, whose names .* of splits .*name them train, validation and test",
    ):
        load({"training": tmp_path / "all"})


@pytest.mark.parametrize(
    ("first", "second"), [("n01440764/images", "n01443537/images"), ("train station/day", "bus/day"), ("a/x", "b/x")]
)
def test_subfolders_of_one_name_are_parts_of_classes_where_no_class_is_named_like_a_split(
    tiny: Path, tmp_path: Path, first: str, second: str
) -> None:
    for split, place in (("train", first), ("test", second)):
        shutil.copytree(tiny / split / "brick", tmp_path / "all" / place)
    assert len(load({"training": tmp_path / "all"}).classes) == 2


def test_classes_named_like_splits_with_photos_of_their_own_get_a_note(tiny: Path, tmp_path: Path) -> None:
    for label, place in (("brick", "train station"), ("coffee", "test-tube")):
        shutil.copytree(tiny / "train" / label, tmp_path / "all" / place)
    photos = load({"training": tmp_path / "all"})
    assert photos.classes == ("test-tube", "train station")
    assert photos.notes[0] == (
        "the classes 'test-tube', 'train station' are named like splits; if they are splits, name them train, validation and "
        "test and put a folder per class into each"
    )


@pytest.mark.parametrize("channel", ["test", "validation", "Testing", "val"])
def test_a_single_channel_named_like_another_split_is_not_trained_on(tiny: Path, channel: str) -> None:
    with pytest.raises(DataError, match=rf"no train photos in {channel}=.*; add a folder or channel named train"):
        load({channel: tiny / "test"})
    assert len(load({channel: tiny}).splits["train"]) == 8


def test_folders_that_hold_the_same_folders_may_not_be_classes(tiny: Path) -> None:
    (tiny / "folds").mkdir()
    for split, fold in (("train", "fold_1"), ("validation", "fold_2")):
        shutil.copytree(tiny / split, tiny / "folds" / fold)
    classes = sorted(path.name for path in (tiny / "train").iterdir())
    said = f"each of the class folders fold_1, fold_2 holds the folders {', '.join(classes)} and no other photos"
    assert any(note.startswith(said) for note in load({"training": tiny / "folds"}).notes)
    # A class that has photos of its own is a class.
    shutil.copy(next((tiny / "train").glob("*/*")), tiny / "folds" / "fold_1")
    assert not any("holds the folders" in note for note in load({"training": tiny / "folds"}).notes)
