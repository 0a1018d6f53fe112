"""Photos that look mislabelled: one head per fold judges the labels of its fold, on which it was not trained."""

import pytest
import torch
from torch import Tensor

from train.report.photos import folds, suspects
from train.report.photos.folds import FOLDS, RIDGE, out_of_fold
from train.report.photos.suspects import mislabelled

CLASSES, EACH, COLUMNS = 6, 30, 40


def clouds(classes: int = CLASSES, each: int = EACH, columns: int = COLUMNS) -> tuple[Tensor, Tensor]:
    """Return features of well separated classes, and their labels."""
    random = torch.Generator().manual_seed(1)
    labels = torch.arange(classes).repeat_interleave(each)
    centres = 2 * torch.randn(classes, columns, generator=random)
    return centres[labels] + torch.randn(len(labels), columns, generator=random), labels


def test_planted_wrong_labels_are_found_first_and_their_own_class_is_suggested() -> None:
    features, labels = clouds()
    planted = {3: 2, 45: 0, 100: 5, 170: 1}
    wrong = labels.clone()
    for place, label in planted.items():
        wrong[place] = label
    found = mislabelled(features, wrong, CLASSES)
    assert found.judged == len(labels)
    assert {one.place for one in found.found[:4]} == planted.keys()
    assert all(one.suggestion == labels[one.place] and 0 < one.score <= 1 for one in found.found[:4])
    assert [one.score for one in found.found] == sorted((one.score for one in found.found), reverse=True)


def test_right_labels_of_classes_that_lie_apart_raise_no_suspicion() -> None:
    assert mislabelled(*clouds(), CLASSES).found == ()


@pytest.mark.parametrize("columns", [40, 300], ids=["fewer than photos", "more than photos"])
def test_each_fold_is_judged_by_a_fit_on_the_others_alone(columns: int) -> None:
    features, labels = clouds(columns=columns)
    scores = out_of_fold(features, labels, CLASSES)
    own = folds._folds(labels)
    centred = (features - features.mean(0)).double()
    shares = labels.bincount() / len(labels)
    answers = torch.nn.functional.one_hot(labels).double() - shares
    for fold in range(FOLDS):
        others = own != fold
        squares = centred[others].T @ centred[others]
        squares += torch.eye(columns) * RIDGE * squares.diagonal().mean()
        expected = centred[~others] @ torch.linalg.solve(squares, centred[others].T @ answers[others]) + shares
        torch.testing.assert_close(scores[~others].double(), expected, atol=1e-4, rtol=1e-4)


def test_the_folds_share_each_class_out_evenly() -> None:
    _, labels = clouds(each=13)
    own = folds._folds(labels)
    for label in range(CLASSES):
        counts = own[labels == label].bincount(minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


def test_classes_of_few_photos_are_left_out() -> None:
    features, labels = clouds()
    rare = torch.ones(len(labels), dtype=torch.bool)
    rare[4:EACH] = False  # keep four photos of the first class
    found = mislabelled(features[rare], labels[rare], CLASSES + 1)  # one class has no photo
    assert found.judged == (CLASSES - 1) * EACH
    assert mislabelled(features[:EACH], labels[:EACH], CLASSES).judged == 0  # a single class


def test_a_part_of_a_large_data_set_is_enough_to_judge_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "FITTED", 90)
    features, labels = clouds()
    labels[7] = 3
    found = mislabelled(features, labels, CLASSES).found
    assert found[0].place == 7 and found[0].suggestion == 0


def test_a_wrong_label_is_found_too_where_none_is_among_the_photos_that_scale_the_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "CALIBRATED", 90)
    features, labels = clouds()
    labels[7] = 3  # not among the photos that scale the scores
    assert [one.place for one in mislabelled(features, labels, CLASSES).found] == [7]


@pytest.mark.parametrize("columns", [8, 80])
def test_features_that_are_all_alike_raise_no_error_and_no_suspicion(columns: int) -> None:
    labels = torch.arange(3).repeat(10)
    assert mislabelled(torch.ones(30, columns), labels, 3).found == ()
