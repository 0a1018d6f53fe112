"""The data of the training loop: a stage (the head on features, or fine-tuning), its state, and its best epoch so far."""

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from train.loop.updates import Updates
from train.processes.world import World

# This process's part of one step: the model's inputs, and labels [n] or, after mixup, probabilities [n, classes].
Batch = tuple[Tensor, Tensor]


@dataclass(kw_only=True)
class Stage:
    """One stage of training: the source of batches, the loss, the updates, and the evaluation."""

    name: str
    seed: int  # the job's seed; with the stage's name and the step's place it determines every random number of a step
    updates: Updates
    epochs: int
    batch_size: int
    labels: Tensor  # int64 [N]: the labels of all training photos in all processes
    # Yields this process's part of each step of an epoch, in main memory. Each step is a tensor of indices into `labels`.
    batches: Callable[[int, Sequence[Tensor]], Generator[Batch, None, None]]
    # Returns a model's logits for all validation photos, and their labels.
    predict: Callable[[nn.Module], tuple[Tensor, Tensor]]
    world: World = World()  # noqa: RUF009 - frozen
    mix: Callable[[Tensor, Tensor], Batch] | None = None  # changes a batch first: mixup or cutmix
    label_smoothing: float = 0.0
    class_weights: Tensor | None = None
    # The stage ends after this many epochs without a better one; with 0 it never ends early.
    early_stopping: int = 0
    auxiliary: float = 0.0  # weight of the auxiliary logits' loss
    autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    accumulate: int = 1  # parts that each step is split into, one after the other
    # The photos in a part of a step, if every core computes one part at a time; 0 if the parts are computed one after the other.
    lane: int = 0
    compile: bool = False

    @property
    def model(self) -> nn.Module:
        """The model that learns; it returns logits, or logits and auxiliary logits, for the inputs of a batch."""
        return self.updates.model


@dataclass
class State:
    """A stage's progress: the next epoch and step, and this epoch's measurements so far.

    `losses` and `seconds` hold one number for each step.
    """

    epoch: int = 1
    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    hits: float = 0.0
    waited: float = 0.0  # seconds spent waiting for data
    since_best: int = 0  # finished epochs since the best one


@dataclass(kw_only=True)
class Best:
    """The best epoch so far, with its score, weights and validation logits. Epoch 0 is the model from before the stage."""

    epoch: int
    score: tuple[float, float]  # validation accuracy, and minus validation loss
    model: Mapping[str, Tensor]
    logits: Tensor | None
