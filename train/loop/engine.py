"""fit(): the training loop of both stages, the head on features and fine-tuning on photos."""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from classifier.errors import ConfigError
from train import stop
from train.evaluation import Evaluation, judge
from train.loop.checkpoint import Checkpoints
from train.loop.compiler import compiled
from train.loop.feed import fed
from train.loop.seeds import generator, seed_torch
from train.loop.stage import Best, Stage, State
from train.loop.step import Step, lanes_of, learn
from train.loop.timing import Clocks, StepClock
from train.report import Monitor, Place

LOOK = 50  # steps after which the losses are read; each reading waits for the GPU


def fit(
    stage: Stage,
    on_epoch: Callable[[int, Mapping[str, Any]], None],
    *,
    checkpoints: Checkpoints | None = None,
    monitor: Monitor | None = None,
    state: State | None = None,
    best: Best | None = None,
) -> Best | None:
    """Train a stage's model, leave it as it was after its best epoch, and return that epoch; None if no epoch was finished.

    The best epoch has the highest validation accuracy, then the lowest loss, and must be better than `best`. `on_epoch` is
    called after every epoch with its number (from 1) and its metrics; the metrics `step_losses` and `step_seconds` hold one
    number for each step. After SIGTERM the step under way is finished. Seed, stage, epoch, step and process determine every random number
    of a step. So a run that continues from `state` draws the same numbers as an uninterrupted run. `monitor` gets each step. Raises
    ConfigError when the loss is no longer a number.
    """
    state, monitor = state or State(), monitor or Monitor()
    runner = compiled(stage.model) if stage.compile else stage.model
    while state.epoch <= stage.epochs and not (stage.early_stopping and state.since_best >= stage.early_stopping):
        positions = torch.randperm(len(stage.labels), generator=generator(stage.seed, stage.name, state.epoch))
        steps = positions.split(stage.batch_size)  # type: ignore[no-untyped-call]
        judged = None
        if _learn_epoch(stage, runner, state, steps, checkpoints, monitor):
            judged = _judge(stage)
        if judged is None:
            if checkpoints:
                checkpoints.save(stage, state)
            break
        logits, evaluation = judged
        if not math.isfinite(evaluation.loss):
            raise _not_a_number(stage, len(steps), state.epoch)
        monitor.losses("validation", {"loss": evaluation.loss})
        state.since_best += 1
        score = (evaluation.accuracy, -evaluation.loss)
        if best is None or score > best.score:
            best = Best(epoch=state.epoch, score=score, model=copied(stage.updates.judged), logits=logits)
            state.since_best = 0
            if checkpoints:
                checkpoints.save_best(stage.name, best)
        epoch, metrics = state.epoch, _metrics(stage, state, evaluation)
        state = State(epoch=epoch + 1, since_best=state.since_best)
        if checkpoints:
            checkpoints.epochs.append({"stage": stage.name, "epoch": epoch, "metrics": metrics})
            checkpoints.save(stage, state)
        # Last: a job that is killed just before this call and continues later must not print this epoch's metrics twice.
        on_epoch(epoch, metrics)
    if best is not None:
        stage.model.load_state_dict(best.model)
    return best


def _learn_epoch(
    stage: Stage,
    runner: nn.Module,
    state: State,
    steps: Sequence[Tensor],
    checkpoints: Checkpoints | None,
    monitor: Monitor,
) -> bool:
    """Do the remaining steps of an epoch, and return whether they ended before SIGTERM."""
    set_learning(stage.model)
    unread: list[Tensor] = []
    clocks = Clocks(stage.name, state.epoch, monitor.steps)
    world = stage.world
    stopped = False
    device = next(stage.model.parameters()).device
    with (
        contextlib.closing(stage.batches(state.epoch, steps[state.step :])) as loaded,
        contextlib.closing(fed(loaded, device, state)) as batches,
        lanes_of(stage) as lanes,
        contextlib.closing(clocks),
    ):
        while state.step < len(steps) and not stopped:
            started, waited, traced = time.perf_counter(), state.waited, monitor.tracing_seconds
            batch = next(batches)
            wait = state.waited - waited
            clock = StepClock(device, wait=wait, move=time.perf_counter() - started - wait)
            number = (state.epoch - 1) * len(steps) + state.step
            place = Place(stage=stage.name, epoch=state.epoch, step=state.step + 1, number=number)
            watch = monitor.watch(place, stage.model)
            seed_torch(device, stage.seed, stage.name, state.epoch, state.step, world.rank)
            step = Step(batch=batch, size=len(steps[state.step]), clock=clock, watch=watch)
            with monitor.traced(place):
                unread.append(learn(stage, runner, lanes, step))
            monitor.losses("train", {"loss": unread[-1][0]})
            state.step += 1
            stopped, due = world.any(stop.requested.is_set(), bool(checkpoints and checkpoints.due()))
            if stopped or due or len(unread) == LOOK or state.step == len(steps):
                _read(unread, stage, state)
            # The time that watching takes is not counted as part of the step.
            watching = monitor.tracing_seconds - traced + (watch.seconds if watch else 0.0)
            clock.seconds = time.perf_counter() - started - watching
            state.seconds.append(clock.seconds)
            clocks.add(state.step, clock)
            if due and checkpoints:
                checkpoints.save(stage, state)
    return not stopped


def set_learning(model: nn.Module) -> None:
    """Put a model into training mode, but freeze the statistics of its batch normalisation."""
    model.train()
    for module in model.modules():
        # The statistics of the pretraining are better: its batches were larger than ours.
        if isinstance(module, _BatchNorm):
            module.eval()


def _read(unread: list[Tensor], stage: Stage, state: State) -> None:
    """Add the losses and hits of the latest steps to the state; raises ConfigError if a loss is not a number."""
    tallies = stage.world.total(torch.stack(unread)).tolist()
    unread.clear()
    for loss, hits in tallies:
        if not math.isfinite(loss):
            raise _not_a_number(stage, len(state.losses) + 1, state.epoch)
        state.losses.append(loss)
        state.hits += hits


def _judge(stage: Stage) -> tuple[Tensor, Evaluation] | None:
    """Return the validation logits and their score, or None if SIGTERM interrupted."""
    try:
        logits, labels = stage.predict(stage.updates.judged)
    except stop.Stopped:
        return None
    return logits, judge(logits, labels)


def _metrics(stage: Stage, state: State, evaluation: Evaluation) -> dict[str, Any]:
    seconds = sum(state.seconds)
    return {
        "train:loss": sum(state.losses) / len(state.losses),
        "train:accuracy": state.hits / len(stage.labels),
        "validation:loss": evaluation.loss,
        "validation:accuracy": evaluation.accuracy,
        "validation:macro_f1": evaluation.macro_f1,
        "images_per_second": len(stage.labels) / seconds,
        "learning_rate": stage.updates.rate,
        "epoch:seconds": seconds,
        "data_wait_share": state.waited / seconds,
        "step_losses": state.losses,
        "step_seconds": state.seconds,
    }


def _not_a_number(stage: Stage, step: int, epoch: int) -> ConfigError:
    name = "lr" if stage.name == "head" else "finetune-lr"
    # In fp16 a value above 65,504 becomes infinite. This may happen at a learning rate that suits bf16 and fp32.
    remedy = "set precision to bf16 or fp32, or " if stage.updates.scaler else ""
    return ConfigError(
        f"the loss is no longer a number at step {step} of epoch {epoch}; {remedy}lower {name}, now {stage.updates.highest_rate:g}"
    )


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's tensors."""
    return copy.deepcopy({name: value.detach() for name, value in model.state_dict().items()})
