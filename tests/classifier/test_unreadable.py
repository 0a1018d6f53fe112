"""Training stops if more photos are unreadable than the limit allows; the limit itself is allowed."""

from pathlib import Path

import pytest

from classifier.photos import Photo
from classifier.unreadable import faults, too_many

TRAIN = [Photo(Path(f"train/{number}.jpg"), number % 2) for number in range(10)]
TEST = [Photo(Path(f"test/{number}.jpg"), number % 2) for number in range(10)]
SPLITS = {"train": TRAIN, "test": TEST}


@pytest.mark.parametrize(("limit", "refused"), [(10, False), (10.5, False), (9.99, True), (0, True)])
def test_exactly_the_limit_may_be_missing(limit: float, refused: bool) -> None:
    missing = {"train": {3: "empty"}, "test": {7: "cut off"}}
    sentence = too_many(SPLITS, missing, limit)
    assert (sentence is not None) == refused
    assert sentence is None or sentence == (
        f"2 of 20 photos cannot be read, over the limit of {limit:g} % (hyperparameter max-unreadable): train/3.jpg: empty; "
        "test/7.jpg: cut off; remove or replace them, byoc data check DIR lists all"
    )
    assert too_many(SPLITS, {}, 0) is None


def test_of_many_the_first_five_by_place_are_named() -> None:
    sentence = too_many(SPLITS, {"train": dict.fromkeys((8, 6, 4, 2, 0, 1), "odd")}, 1)
    assert (
        sentence is not None
        and "train/0.jpg: odd; train/1.jpg: odd; train/2.jpg: odd; train/4.jpg: odd; train/6" in sentence
    )
    assert "train/8.jpg" not in sentence


def test_a_split_or_a_class_of_train_of_which_nothing_is_left_is_named_whatever_the_limit() -> None:
    classes = ("cat", "dog")
    odd = {number: f"reason {number}" for number in (1, 3, 5, 7, 9)}
    assert list(faults(SPLITS, {"train": odd}, 100, classes)) == [
        "no train photo of 1 of the 2 classes can be read: 'dog' (train/1.jpg: reason 1); replace the photos or remove the "
        "class, byoc data check DIR lists all"
    ]
    # A class is not checked in the split test, if one of its photos can be read, or if there are no class names.
    assert list(faults(SPLITS, {"test": odd}, 100, classes)) == []
    assert list(faults(SPLITS, {"train": {1: "x", 3: "x", 5: "x", 7: "x"}}, 100, classes)) == []
    assert list(faults(SPLITS, {"train": odd}, 100, ())) == []
    everything = dict.fromkeys(range(10), "odd")
    assert list(faults(SPLITS, {"test": everything}, 100, classes)) == [
        "none of the 10 test photos can be read; replace them, byoc data check DIR lists all"
    ]
    assert [sentence[:12] for sentence in faults(SPLITS, {"test": everything}, 1, classes)] == [
        "10 of 20 pho",
        "none of the ",
    ]


def test_five_lost_classes_are_named_and_one_without_any_photo_too() -> None:
    photos = [Photo(Path(f"{label}.jpg"), label) for label in range(6)]
    missing = dict.fromkeys(range(6), "odd")
    del missing[0]
    (sentence,) = faults({"train": photos}, {"train": missing}, 100, tuple("abcdefg"))
    assert "no train photo of 6 of the 7 classes can be read: 'b' (1.jpg: odd); 'c' (2.jpg: odd); 'd'" in sentence
    assert "'f' (5.jpg: odd); replace" in sentence and "'g'" not in sentence
    (sentence,) = faults({"train": photos[:2]}, {"train": {1: "odd"}}, 100, tuple("abc"))
    assert "'b' (1.jpg: odd); 'c'; replace" in sentence
