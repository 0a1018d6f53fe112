"""Judges predictions: accuracy, F1 and calibration, over all photos and for each class."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a model on a split.

    `confusion` is int64 [classes, classes]: it counts photos by true class (row) and predicted class (column).
    """

    loss: float
    accuracy: float
    top5: float
    macro_f1: float
    ece: float
    confusion: Tensor

    @property
    def count(self) -> int:
        return int(self.confusion.sum())

    def metrics(self) -> dict[str, Any]:
        """Return the metrics as plain values, with the 95 % interval of the accuracy."""
        return {
            "count": self.count,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "accuracy_interval": wilson_interval(int(self.confusion.trace()), self.count),
            "top5": self.top5,
            "macro_f1": self.macro_f1,
            "ece": self.ece,
        }

    def per_class(self, classes: tuple[str, ...]) -> list[dict[str, Any]]:
        """Return count, precision, recall and F1 of each class; None for a value that would divide by 0."""
        hits, truths, predictions = self.confusion.diagonal(), self.confusion.sum(1), self.confusion.sum(0)
        return [
            {
                "class": name,
                "count": int(truth),
                "precision": float(hit / prediction) if prediction else None,
                "recall": float(hit / truth) if truth else None,
                "f1": float(2 * hit / (truth + prediction)) if truth + prediction else None,
            }
            for name, hit, truth, prediction in zip(classes, hits, truths, predictions, strict=True)
        ]


def judge(logits: Tensor, labels: Tensor) -> Evaluation:
    """Compare logits [N, classes] with labels [N]; macro F1 is the mean over the classes that have photos."""
    classes = logits.shape[1]
    predicted = logits.argmax(1)
    confusion = torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)
    f1 = 2 * confusion.diagonal() / (confusion.sum(0) + confusion.sum(1)).clamp(min=1)
    present = confusion.sum(1) > 0
    return Evaluation(
        loss=float(functional.cross_entropy(logits, labels)),
        accuracy=float((predicted == labels).float().mean()),
        top5=float((logits.topk(min(5, classes)).indices == labels[:, None]).any(1).float().mean()),
        macro_f1=float(f1[present].mean()),
        ece=calibration_error(logits, labels),
        confusion=confusion,
    )


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """Return the expected calibration error (Guo et al. 2017).

    It is the mean difference of confidence and accuracy over bins of equal width, each weighted by its photos.
    """
    _, confidences, hits = _binned(logits, labels)
    return float((hits - confidences).abs().sum() / len(labels))


def calibration_bins(logits: Tensor, labels: Tensor) -> dict[str, list[Any]]:
    """Return the values of a reliability diagram: lists with a number for each of CALIBRATION_BINS bins of equal width.

    `count` is the number of photos with a confidence in the bin, `hits` is the number of right predictions for these, and `confidence` is
    their mean confidence, None in an empty bin.
    """
    counts, confidences, hits = _binned(logits, labels)
    means = [float(total / count) if count else None for total, count in zip(confidences, counts, strict=True)]
    return {"count": counts.long().tolist(), "hits": hits.long().tolist(), "confidence": means}


def _binned(logits: Tensor, labels: Tensor) -> Tensor:
    """Return float64 [3, CALIBRATION_BINS]: for each bin the photos, the sum of their confidences, and the right ones."""
    confidence, predicted = logits.double().softmax(1).max(1)
    # A bin does not include its lower end, but includes its upper one.
    bins = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    values = torch.stack([torch.ones_like(confidence), confidence, (predicted == labels).double()])
    return torch.zeros(3, CALIBRATION_BINS, dtype=torch.float64).index_add_(1, bins, values)


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the share hits / count (Wilson 1927), which is valid even for 100 % of a few photos."""
    z = 1.959964
    centre, spread = hits + z * z / 2, z * math.sqrt(hits * (count - hits) / count + z * z / 4)
    return (centre - spread) / (count + z * z), (centre + spread) / (count + z * z)
