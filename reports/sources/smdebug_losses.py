"""Groups the losses that SageMaker's Debugger saved into epochs."""

import dataclasses
import math
from collections.abc import Mapping

from reports.facts import Epoch
from reports.sources.smdebug_events import GLOBAL, SavedTensor
from reports.sources.values import LARGEST

STAGE = "debugger"
TRAIN = (1, GLOBAL)


def epochs(losses: Mapping[tuple[int, int], list[SavedTensor]]) -> list[Epoch]:
    """Return the epochs of a loss. An epoch begins where training continues after another mode (EVAL or PREDICT).

    The loss of a step is the mean over the workers. A loss that was not saved at every step has fewer values than there were steps.
    """
    groups: list[tuple[list[SavedTensor], list[float]]] = []
    for (_, mode), held in sorted(losses.items()):
        if not groups or (mode in TRAIN and groups[-1][1]):
            groups.append(([], []))
        value = sum(tensor.mean for tensor in held) / len(held)
        if mode in TRAIN:
            groups[-1][0].append(dataclasses.replace(held[0], mean=value))
        else:
            groups[-1][1].append(value)
    return [_epoch(number, train, held) for number, (train, held) in enumerate(groups, 1)]


def _epoch(number: int, train: list[SavedTensor], held: list[float]) -> Epoch:
    losses = [finite(tensor.mean) for tensor in train]
    return Epoch(
        stage=STAGE,
        number=number,
        train_loss=_mean(losses),
        train_accuracy=None,
        validation_loss=_mean([finite(value) for value in held]),
        validation_accuracy=None,
        learning_rate=None,
        seconds=None,
        images_per_second=None,
        data_wait_share=None,
        step_losses=tuple(losses),
        step_seconds=(),
        step_numbers=tuple(tensor.mode_step for tensor in train),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def finite(value: float) -> float | None:
    """Return the number; None if it is not finite, or if its absolute value is larger than LARGEST."""
    return value if math.isfinite(value) and abs(value) <= LARGEST else None
