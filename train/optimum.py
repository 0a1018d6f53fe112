"""The head at its optimum: L-BFGS on the features of all photos at once, and a search for the L2 term.

Without hidden layers the loss on frozen features is convex. With an L2 term, which is half of `weight-decay` times the sum of the
weights' squares, it has one optimum: no seed, learning rate, batch size or number of epochs decides where it lies. The search
begins with the strongest L2 term. Each value starts from the optimum of the one before, which is near, and where it is found
soonest.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from classifier.errors import ConfigError
from train import stop
from train.config import Config
from train.evaluation import Evaluation, judge
from train.features import Features
from train.loop.checkpoint import Checkpoints, Kept, Saved
from train.loop.engine import copied
from train.loop.stage import Best, Stage, State
from train.loop.step import loss_of
from train.processes.world import local_threads
from train.report import Records
from train.search import Found, Trial, write_trial

# Of weight-decay: half powers of 10 from 1 to 1e-7. The best value was 0.001 to 0.0001 for lite0's features, whose squared
# norm is about 150 around their mean; it grows and falls with that number.
VALUES = tuple(float(f"{10 ** (-half / 2):.2g}") for half in range(15))
PATIENCE = 2  # values without a lower validation loss after which the search ends, if early-stopping is 0
MOST = 1000  # iterations for one value; 120 breeds took 30 to 120
# The largest derivative at the optimum. With it the loss of 120 breeds was 3e-5 above that at 1e-6, after two thirds of the steps.
SMALLEST = 1e-5
ROWS = 512  # rows of features that one core computes at a time; it is a constant, so that the number of cores changes no sum


@dataclasses.dataclass(kw_only=True)
class _Point:
    """Where the loss was computed: weights and bias in one tensor [classes, D + 1], the cross entropy there, and its hits."""

    at: Tensor
    loss: float = float("inf")
    with_l2: float = float("inf")
    hits: float = 0.0


def optimum(
    stage: Stage,
    train: Features,
    config: Config,
    records: Records,
    checkpoints: Checkpoints | None = None,
    saved: Saved | None = None,
    kept: Kept | None = None,
) -> Found:
    """Leave a stage's head at the optimum of its loss on the features, and return that as the only epoch of the best trial.

    With `weight_decay` 0 the L2 terms of VALUES are tried, each as a trial with a record and a line, and the one of the lowest
    validation loss is kept. The loss has less noise than the accuracy, of which neighbours often have the same. `saved` and
    `kept` are the checkpoint to continue from, and the best value before it. After SIGTERM the evaluation under way is
    finished, and the best value so far is kept, else what the first one has learnt. Raises ConfigError for a loss that is no
    number.
    """
    values = (config.weight_decay,) if config.weight_decay else VALUES
    tried: list[dict[str, Any]] = list(saved.epochs) if saved else []
    for value in tried:
        _tell(stage, config, value, records)
    best = kept.best if kept and saved else None
    first = saved.restore(stage).epoch if saved else 1
    since = len(tried) - best.epoch if best else 0
    if checkpoints:
        checkpoints.epochs = tried
    with _lanes() as lanes:
        descent = _Descent(stage=stage, train=train, lanes=lanes, mean=_mean(stage, train), checkpoints=checkpoints)
        for number, value in enumerate(values[first - 1 :], first):
            if since >= (config.early_stopping or PATIENCE):
                break
            try:
                metrics, evaluation, logits = descent.to_optimum(number, value)
            except stop.Stopped:
                break
            tried.append({"stage": stage.name, "epoch": number, "weight_decay": value, "metrics": metrics})
            since += 1
            if best is None or evaluation.loss < -best.score[1]:
                score = (evaluation.accuracy, -evaluation.loss)
                best, since = Best(epoch=number, score=score, model=copied(stage.model), logits=logits), 0
                if checkpoints:
                    checkpoints.save_best(stage.name, best)
            if checkpoints:
                checkpoints.save(stage, State(epoch=number + 1))
            _tell(stage, config, tried[-1], records)
    if best is None:  # stopped in the first value
        logits, labels = stage.predict(stage.model)
        judged = judge(logits, labels)
        stopped = Best(epoch=0, score=(judged.accuracy, -judged.loss), model=copied(stage.model), logits=logits)
        return Found(config=config, best=stopped, epochs=[])
    stage.model.load_state_dict(best.model)
    chosen = tried[best.epoch - 1]
    if not config.weight_decay:
        print(f"kept trial {best.epoch}, weight-decay {chosen['weight_decay']:g}", flush=True)
    if checkpoints:
        checkpoints.epochs = [{"stage": stage.name, "epoch": 1, "metrics": chosen["metrics"]}]
    return Found(
        config=dataclasses.replace(config, weight_decay=chosen["weight_decay"]),
        best=dataclasses.replace(best, epoch=1),
        epochs=[(1, chosen["metrics"])],
    )


def _tell(stage: Stage, config: Config, tried: Mapping[str, Any], records: Records) -> None:
    """Write a value's record and line. A value that the job gives is no trial."""
    if config.weight_decay:
        return
    metrics = tried["metrics"]
    trial = Trial(
        number=tried["epoch"],
        total=f"at most {len(VALUES)}",
        hyperparameters={"weight-decay": tried["weight_decay"]},
        epoch=1,
        score=(metrics["validation:accuracy"], -metrics["validation:loss"]),
        seconds=metrics["epoch:seconds"],
    )
    write_trial(trial, records)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Descent:
    """Finds optima of one head's loss. `mean` [D] is that of all features.

    Features after a ReLU have a mean far from 0, along which the loss is much steeper than elsewhere. The bias is therefore
    counted from that mean. The optimum is the same, since the bias has no L2 term; on 120 breeds it took 30 % fewer steps.
    """

    stage: Stage
    train: Features
    lanes: Callable[..., Iterator[Any]]
    mean: Tensor
    checkpoints: Checkpoints | None

    def to_optimum(self, number: int, l2: float) -> tuple[dict[str, Any], Evaluation, Tensor]:
        """Move the head to its optimum with an L2 term, and return its metrics, and how good it is on validation.

        The chief decides each step and the others follow, so that rounding cannot lead processes to different steps. Raises
        Stopped after SIGTERM; the head is then where its loss was lowest.
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

        _descend(lowest.at.clone(), evaluate, self.stage)
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
            "learning_rate": 1.0,  # the first length that the line search tries, which it mostly keeps
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
        """Give the head the weights of a point. Biases change no probability if all change by the same, so their mean is 0."""
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
            raise ConfigError("the head's loss is no number on the backbone's features; set precision to fp32")
        weights = at.detach()[:, :-1]
        gradient[:, :-1] += l2 * weights
        with_l2 = loss + l2 / 2 * float(weights.double().square().sum())
        return _Point(at=at.detach(), loss=loss, with_l2=with_l2, hits=hits), gradient


def _descend(start: Tensor, evaluate: Callable[[Tensor], tuple[float, Tensor]], stage: Stage) -> None:
    """Go from a point to the lowest one by L-BFGS with a line search by the strong Wolfe conditions, in all processes."""
    world = stage.world
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

    optimizer.step(closure)
    world.broadcast(None)


@contextlib.contextmanager
def _lanes() -> Generator[Callable[..., Iterator[Any]], None, None]:
    """Give a map() with a thread for each core, which computes alone; the threads meet once in each evaluation."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with ThreadPoolExecutor(local_threads(), initializer=lambda: torch.set_num_threads(1)) as pool:
        try:
            yield pool.map
        finally:
            torch.set_num_threads(threads)


def _mean(stage: Stage, train: Features) -> Tensor:
    """Return the mean [D] of the features of all processes."""
    return (stage.world.total(train.features.sum(0, dtype=torch.float64)) / len(stage.labels)).float()


def last_layer(head: nn.Module) -> nn.Linear:
    """Return a head's last layer, the only one that has weights here."""
    last = list(head.modules())[-1]
    assert isinstance(last, nn.Linear)
    return last
