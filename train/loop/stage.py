"""What the training loop works on: a stage (the head on features, or fine-tuning), where it is, and the best so far."""

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

# A process's part of a step's photos: what the model takes, and labels [n] or, after mixup, probabilities [n, classes].
Batch = tuple[Tensor, Tensor]


@dataclass(kw_only=True)
class Stage:
    """A model, its optimizer, where its batches come from and how it is judged."""

    name: str
    model: nn.Module  # returns logits, or logits and auxiliary logits, for a batch's first part
    optimizer: torch.optim.Optimizer
    epochs: int
    batch_size: int
    labels: Tensor  # int64 [N], of the training rows of all processes
    # Yields this process's part of every step of an epoch, in main memory; a step is given as positions among the N.
    batches: Callable[[int, Sequence[Tensor]], Generator[Batch, None, None]]
    # Returns a model's logits for all validation photos, and their labels.
    predict: Callable[[nn.Module], tuple[Tensor, Tensor]]
    mix: Callable[[Tensor, Tensor], Batch] | None = None  # what to do with a batch of photos and labels first
    label_smoothing: float = 0.0
    class_weights: Tensor | None = None
    early_stopping: int = 0
    auxiliary: float = 0.0
    schedule: torch.optim.lr_scheduler.LambdaLR | None = None
    ema: AveragedModel | None = None
    autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    scaler: torch.amp.GradScaler | None = None
    clip_norm: float = 0.0
    accumulate: int = 1
    # Photos in each of a step's parts, of which every core has one under way; 0 when the parts take turns.
    lane: int = 0
    compile: bool = False

    @property
    def judged(self) -> nn.Module:
        """The model that is judged and kept: the average where there is one."""
        return self.model if self.ema is None else self.ema.module


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


@dataclass
class Best:
    """The best model so far: the epoch it comes from (0: from before the stage), how it did, its logits on validation."""

    epoch: int
    score: tuple[float, float]  # accuracy, then minus loss
    model: Mapping[str, Tensor]
    logits: Tensor | None
