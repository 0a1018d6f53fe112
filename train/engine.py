"""fit() and evaluate(): the loops that train and judge a head on features."""

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from classifier.errors import ConfigError
from train import stop
from train.config import Config
from train.features import Features

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


def fit(
    head: nn.Module,
    train: Features,
    validation: Features,
    config: Config,
    on_epoch: Callable[[int, Mapping[str, Any]], None],
) -> int:
    """Train a head with Adam and cross entropy, leave it as it was after its best epoch, and return that epoch.

    `on_epoch` is called after every epoch with its number (from 1) and its metrics; `step_losses` and `step_seconds`
    hold one number a step. Best is the highest validation accuracy, then the lowest loss. After SIGTERM it ends with the
    step under way; 0 means that no epoch was finished. Raises ConfigError when the loss is no longer a number.
    """
    optimizer = torch.optim.Adam(head.parameters(), lr=config.lr)
    order = torch.Generator().manual_seed(config.seed)
    best, best_state, best_epoch = (-1.0, 0.0), copy.deepcopy(head.state_dict()), 0
    for epoch in range(1, config.epochs + 1):
        head.train()
        started = time.perf_counter()
        losses, seconds, hits = [], [], torch.zeros((), dtype=torch.int64)
        for step in torch.randperm(len(train.labels), generator=order).split(config.batch_size):  # type: ignore[no-untyped-call]
            step_started = time.perf_counter()
            logits = head(train.features[step])
            loss = functional.cross_entropy(logits, train.labels[step], label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
            hits += (logits.argmax(1) == train.labels[step]).sum()
            seconds.append(time.perf_counter() - step_started)
            if stop.requested.is_set():
                break
        if stop.requested.is_set():
            break
        judged = evaluate(head, validation)
        step_losses = torch.stack(losses).tolist()
        if not math.isfinite(sum(step_losses)) or not math.isfinite(judged.loss):
            broken = next(
                (number for number, value in enumerate(step_losses, 1) if not math.isfinite(value)), len(losses)
            )
            raise ConfigError(
                f"the loss is no longer a number at step {broken} of epoch {epoch}; lower lr, now {config.lr:g}"
            )
        on_epoch(
            epoch,
            {
                "train:loss": sum(step_losses) / len(step_losses),
                "train:accuracy": float(hits) / len(train.labels),
                "validation:loss": judged.loss,
                "validation:accuracy": judged.accuracy,
                "epoch:seconds": time.perf_counter() - started,
                "step_losses": step_losses,
                "step_seconds": seconds,
            },
        )
        if (judged.accuracy, -judged.loss) > best or not best_epoch:
            best, best_state, best_epoch = (judged.accuracy, -judged.loss), copy.deepcopy(head.state_dict()), epoch
    if best_epoch:  # else stopped within the first epoch: what it learnt so far is the best there is
        head.load_state_dict(best_state)
    return best_epoch


def evaluate(head: nn.Module, split: Features) -> Evaluation:
    """Judge a head on a split's features."""
    return judge(predict(head, split), split.labels)


def predict(head: nn.Module, split: Features) -> Tensor:
    """Return a head's logits [N, classes] for a split's features."""
    head.eval()
    with torch.inference_mode():
        logits: Tensor = head(split.features)
    return logits


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
