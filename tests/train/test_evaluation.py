"""The figures of an evaluation, compared with scikit-learn on random cases and with some computed by hand."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from train.evaluation import CALIBRATION_BINS, calibration_bins, judge, wilson_interval

SKLEARN = "needs scikit-learn"


def random_case(seed: int) -> tuple[Tensor, Tensor]:
    """Return logits and labels of a classifier that is sometimes right; a class may have no photos or no predictions."""
    random = torch.Generator().manual_seed(seed)
    classes = 2 + seed % 9
    count = int(torch.randint(1, 60, (1,), generator=random))
    labels = torch.randint(0, classes, (count,), generator=random)
    labels[labels == 1] = 0  # class 1 has no photo
    logits = torch.randn(count, classes, generator=random)
    logits[torch.arange(count), labels] += 1
    return logits, labels


@pytest.mark.host(SKLEARN)
@pytest.mark.parametrize("seed", range(20))
def test_the_figures_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn import metrics  # imported here, because it is in neither image

    logits, labels = random_case(seed)
    classes = logits.shape[1]
    names, numbers = tuple(f"class {number}" for number in range(classes)), list(range(classes))
    truth, predicted, shares = labels.numpy(), logits.argmax(1).numpy(), logits.double().softmax(1).numpy()
    judged = judge(logits, labels)
    values = judged.metrics()
    assert judged.confusion.tolist() == metrics.confusion_matrix(truth, predicted, labels=numbers).tolist()
    assert values["count"] == len(truth)
    assert values["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert values["loss"] == pytest.approx(metrics.log_loss(truth, shares, labels=numbers), rel=1e-5)
    present = sorted(set(truth.tolist()))
    expected = metrics.f1_score(truth, predicted, labels=present, average="macro", zero_division=0.0)
    assert values["macro_f1"] == pytest.approx(expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns that five of two classes always include the label
        top5 = metrics.top_k_accuracy_score(truth, shares if classes > 2 else shares[:, 1], k=5, labels=numbers)
    assert values["top5"] == pytest.approx(top5)
    columns = metrics.precision_recall_fscore_support(truth, predicted, labels=numbers, zero_division=np.nan)
    rows = judged.per_class(names)
    assert [row["class"] for row in rows] == list(names)
    for row, precision, recall, f1, count in zip(rows, *columns, strict=True):
        for ours, theirs in ((row["precision"], precision), (row["recall"], recall), (row["f1"], f1)):
            assert (ours is None and np.isnan(theirs)) or ours == pytest.approx(theirs), (row, precision, recall, f1)
        assert row["count"] == count


# Two of three cats are predicted as cats and one as a dog. The dog and the cow are predicted as cats. There is no owl.
LABELS = torch.tensor([0, 0, 0, 1, 2])
PREDICTED = torch.tensor([0, 0, 1, 0, 0])


def test_precision_and_recall_are_those_worked_out_by_hand() -> None:
    judged = judge(10 * torch.nn.functional.one_hot(PREDICTED, 4).float(), LABELS)
    assert judged.confusion.tolist() == [[2, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    cat, dog, cow, owl = judged.per_class(("cat", "dog", "cow", "owl"))
    assert cat == {
        "class": "cat",
        "count": 3,
        "precision": pytest.approx(2 / 4),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(4 / 7),
    }
    assert dog == {"class": "dog", "count": 1, "precision": 0, "recall": 0, "f1": 0}
    assert cow == {"class": "cow", "count": 1, "precision": None, "recall": 0, "f1": 0}
    assert owl == {"class": "owl", "count": 0, "precision": None, "recall": None, "f1": None}
    # The mean is over the three classes that have photos, so without the owl.
    assert judged.macro_f1 == pytest.approx(4 / 7 / 3)
    assert judged.accuracy == pytest.approx(2 / 5) and judged.count == 5


def test_the_first_five_of_six_hold_all_but_the_last() -> None:
    logits = torch.arange(6).flip(0).float().repeat(6, 1)
    assert judge(logits, torch.arange(6)).top5 == pytest.approx(5 / 6)
    assert judge(logits[:, :3], torch.tensor([2] * 6)).top5 == 1


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
)
def test_the_interval_of_an_accuracy_is_that_of_newcombes_table(hits: int, count: int, low: float, high: float) -> None:
    # Newcombe 1998, table I, method 3.
    assert list(wilson_interval(hits, count)) == pytest.approx([low, high], abs=5e-5)
    judged = judge(torch.eye(2)[[0] * count], torch.tensor([0] * hits + [1] * (count - hits)))
    assert judged.metrics()["accuracy_interval"] == wilson_interval(hits, count)


@pytest.mark.parametrize("seed", range(5))
def test_the_bins_of_the_reliability_diagram_give_the_calibration_error_again(seed: int) -> None:
    logits, labels = random_case(seed)
    bins = calibration_bins(logits, labels)
    assert len(bins["count"]) == len(bins["hits"]) == len(bins["confidence"]) == CALIBRATION_BINS
    assert sum(bins["count"]) == len(labels) and sum(bins["hits"]) == int((logits.argmax(1) == labels).sum())
    gaps = [
        abs(hits - count * mean)
        for count, hits, mean in zip(bins["count"], bins["hits"], bins["confidence"], strict=True)
        if count
    ]
    assert sum(gaps) / len(labels) == pytest.approx(judge(logits, labels).ece)
    for place, (count, mean) in enumerate(zip(bins["count"], bins["confidence"], strict=True)):
        assert (mean is None) == (count == 0)
        assert mean is None or place / CALIBRATION_BINS <= mean <= (place + 1) / CALIBRATION_BINS
