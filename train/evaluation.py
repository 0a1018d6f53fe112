"""How good predictions are: accuracy, F1, calibration, and what each class gets."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """How a head does on a split; `confusion` is int64 [classes, classes], truth by row, prediction by column."""

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
        """Return the metrics as plain values, the accuracy with its 95 % interval."""
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
        """Return count, precision, recall and F1 of each class; None where a class has no photos or no predictions."""
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
    """Judge logits [N, classes] by the labels [N]."""
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
    """Return the expected calibration error: confidence against accuracy in bins of equal width (Guo et al. 2017)."""
    confidence, predicted = logits.double().softmax(1).max(1)
    # A bin is open below and closed above; the gap of a bin counts by the photos in it.
    bins = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    gaps = torch.zeros(CALIBRATION_BINS, dtype=torch.float64)
    gaps.index_add_(0, bins, (predicted == labels).double() - confidence)
    return float(gaps.abs().sum() / len(labels))


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927), which stays sensible for 100 % of few."""
    z = 1.959964
    centre, spread = hits + z * z / 2, z * math.sqrt(hits * (count - hits) / count + z * z / 4)
    return (centre - spread) / (count + z * z), (centre + spread) / (count + z * z)
