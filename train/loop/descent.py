"""Moves a head to the optimum of its loss, by L-BFGS on the features of all photos at once."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from classifier.errors import ConfigError
from train import stop
from train.evaluation import Evaluation, judge
from train.features import Features
from train.loop.checkpoint import Checkpoints
from train.loop.stage import Stage, State
from train.loop.step import loss_of
from train.processes.world import World, local_threads

MOST = 1000  # iterations for one L2 term; 120 breeds took 30 to 120
# The largest derivative at the optimum. With 1e-6 instead, the loss of 120 breeds was 3e-5 lower, but took 1.5 times the steps.
SMALLEST = 1e-5
ROWS = 512  # rows of features that one core computes at a time; it is a constant, so that the number of cores changes no sum


@dataclasses.dataclass(kw_only=True)
class _Point:
    """A point where the loss was computed: weights and bias in one tensor [classes, D + 1], the cross entropy, and the number of hits."""

    at: Tensor
    loss: float = float("inf")
    with_l2: float = float("inf")
    hits: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Descent:
    """Finds optima of the loss of a stage's head. `mean` [D] is the features' mean, `lanes` a map() over parts of the features.

    The mean of features after a ReLU is far from 0, and the loss is much steeper in its direction than in others. Therefore the bias is
    relative to that mean. The optimum is the same, since the bias has no L2 term; on 120 breeds it took 30 % fewer steps.
    """

    stage: Stage
    train: Features
    lanes: Callable[..., Iterator[Any]]
    mean: Tensor
    checkpoints: Checkpoints | None

    def to_optimum(self, number: int, l2: float) -> tuple[dict[str, Any], Evaluation, Tensor]:
        """Move the head to its optimum with an L2 term; return its training metrics and its result on validation.

        The chief decides each step and the others follow, so that rounding cannot lead processes to different steps. Raises Stopped after
        SIGTERM; the head then has the weights with the lowest loss so far.
        """
        started = time.perf_counter()
        world, lowest = self.stage.world, _Point(at=self._start())
        losses, seconds = list[float](), list[float]()

        def evaluate(at: Tensor) -> tuple[float, Tensor]:
            nonlocal lowest
            begun = time.perf_counter()
            point, gradient = self._evaluated(at, l2)
            if point.with_l2 < lowest.with_l2:
                lowest = point
            losses.append(point.loss)
            seconds.append(time.perf_counter() - begun)
            stopped, due = world.any(stop.requested.is_set(), bool(self.checkpoints and self.checkpoints.due()))
            if stopped or due:
                self._put(lowest.at)
                if self.checkpoints:
                    self.checkpoints.save(self.stage, State(epoch=number))
            if stopped:
                raise stop.Stopped("stopped by SIGTERM while the head was on its way to its optimum")
            return point.with_l2, gradient

        _descend(lowest.at.clone(), evaluate, world)
        self._put(lowest.at)
        logits, labels = self.stage.predict(self.stage.model)
        evaluation, count = judge(logits, labels), len(self.stage.labels)
        metrics = {
            "train:loss": lowest.loss,
            "train:accuracy": lowest.hits / count,
            "validation:loss": evaluation.loss,
            "validation:accuracy": evaluation.accuracy,
            "validation:macro_f1": evaluation.macro_f1,
            "images_per_second": count * len(losses) / sum(seconds),
            "learning_rate": 1.0,  # the step length that the line search tries first, and mostly keeps
            "epoch:seconds": time.perf_counter() - started,
            "data_wait_share": 0.0,
            "step_losses": losses,
            "step_seconds": seconds,
        }
        return metrics, evaluation, logits

    def _start(self) -> Tensor:
        layer = last_layer(self.stage.model)
        weight = layer.weight.detach()
        return torch.cat([weight, (layer.bias.detach() + weight @ self.mean)[:, None]], 1)

    def _put(self, at: Tensor) -> None:
        """Give the head the weights of a point. Adding one number to all biases changes no probability, so their mean is set to 0."""
        layer, bias = last_layer(self.stage.model), at[:, -1] - at[:, :-1] @ self.mean
        with torch.no_grad():
            layer.weight.copy_(at[:, :-1])
            layer.bias.copy_(bias - bias.mean())

    def _evaluated(self, at: Tensor, l2: float) -> tuple[_Point, Tensor]:
        """Return the loss of all processes' photos at a point, and its gradient."""
        features, labels = self.train.features, self.stage.labels[self.train.rows]
        at = at.detach().requires_grad_()
        count = len(self.stage.labels)

        def part(rows: slice) -> tuple[Tensor, Tensor]:
            logits = functional.linear(features[rows], at[:, :-1], at[:, -1] - at[:, :-1] @ self.mean)
            loss = loss_of(self.stage, logits, labels[rows]) / count
            hits = (logits.detach().argmax(1) == labels[rows]).sum()
            return torch.stack((loss.detach(), hits)).double(), torch.autograd.grad(loss, at)[0]

        tally, gradient = torch.zeros(2, dtype=torch.float64), torch.zeros_like(at)
        for found, slope in self.lanes(part, [slice(row, row + ROWS) for row in range(0, len(features), ROWS)]):
            tally += found
            gradient += slope
        gradient = self.stage.world.total(gradient)
        loss, hits = self.stage.world.total(tally).tolist()
        if not math.isfinite(loss):
            raise ConfigError("the head's loss is not a number on the backbone's features; set precision to fp32")
        weights = at.detach()[:, :-1]
        gradient[:, :-1] += l2 * weights
        with_l2 = loss + l2 / 2 * float(weights.double().square().sum())
        return _Point(at=at.detach(), loss=loss, with_l2=with_l2, hits=hits), gradient


def _descend(start: Tensor, evaluate: Callable[[Tensor], tuple[float, Tensor]], world: World) -> None:
    """Minimise the loss from the point `start`, by L-BFGS with a strong Wolfe line search; all processes evaluate the same points."""
    if not world.chief:
        while (at := world.broadcast(None)) is not None:
            evaluate(at)
        return
    point = nn.Parameter(start)
    optimizer = torch.optim.LBFGS(
        [point], max_iter=MOST, tolerance_grad=SMALLEST, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        loss, point.grad = evaluate(world.broadcast(point.detach().clone()))
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    world.broadcast(None)


@contextlib.contextmanager
def descent(stage: Stage, train: Features, checkpoints: Checkpoints | None) -> Generator[Descent, None, None]:
    """Return the descent for a stage's head on the features of train. One thread a core."""
    mean = stage.world.total(train.features.sum(0)) / len(stage.labels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with ThreadPoolExecutor(local_threads(), initializer=lambda: torch.set_num_threads(1)) as pool:
        try:
            yield Descent(stage=stage, train=train, lanes=pool.map, mean=mean, checkpoints=checkpoints)
        finally:
            # Trap: set_num_threads(1) in a lane also reaches the libraries below torch, and there it counts for all threads.
            torch.set_num_threads(threads)


def last_layer(head: nn.Module) -> nn.Linear:
    """Return a head's last layer, the only one with weights unless it has hidden layers."""
    last = list(head.modules())[-1]
    assert isinstance(last, nn.Linear)
    return last
