"""What the training loop works on: a stage (the head on features, or fine-tuning), where it is, and the best so far."""

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from train.loop.updates import Updates
from train.processes.world import World

# A process's part of a step's photos: what the model takes, and labels [n] or, after mixup, probabilities [n, classes].
Batch = tuple[Tensor, Tensor]


@dataclass(kw_only=True)
class Stage:
    """How a model is trained: where its batches come from, what its loss is, how it learns and how it is judged."""

    name: str
    seed: int  # the job's; every random number of a step follows from it, the name, and the step's place
    updates: Updates
    epochs: int
    batch_size: int
    labels: Tensor  # int64 [N], of the training rows of all processes
    # Yields this process's part of every step of an epoch, in main memory; a step is given as positions among the N.
    batches: Callable[[int, Sequence[Tensor]], Generator[Batch, None, None]]
    # Returns a model's logits for all validation photos, and their labels.
    predict: Callable[[nn.Module], tuple[Tensor, Tensor]]
    world: World = World()  # noqa: RUF009 - frozen
    mix: Callable[[Tensor, Tensor], Batch] | None = None  # what to do with a batch of photos and labels first
    label_smoothing: float = 0.0
    class_weights: Tensor | None = None
    early_stopping: int = 0  # epochs without a better one after which the stage ends; 0 never ends it
    auxiliary: float = 0.0  # weight of the auxiliary logits' loss
    autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    accumulate: int = 1  # parts that each step is split into, one after the other
    # Photos in each of a step's parts, of which every core has one under way; 0 when the parts take turns.
    lane: int = 0
    compile: bool = False

    @property
    def model(self) -> nn.Module:
        """The model that learns: returns logits, or logits and auxiliary logits, for a batch's first part."""
        return self.updates.model


@dataclass
class State:
    """How far a stage is, beside what its tensors say; the lists hold a number for each step of the epoch."""

    epoch: int = 1
    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    hits: float = 0.0
    waited: float = 0.0  # seconds, for data
    since_best: int = 0  # epochs


@dataclass(kw_only=True)
class Best:
    """The best model so far: the epoch it comes from (0: from before the stage), how it did, its logits on validation."""

    epoch: int
    score: tuple[float, float]  # accuracy, then minus loss
    model: Mapping[str, Tensor]
    logits: Tensor | None
