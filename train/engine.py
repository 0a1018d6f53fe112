"""fit(): the one training loop, for the head on features and for fine-tuning on photos alike."""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from classifier.errors import ConfigError
from train import stop
from train.checkpoint import Checkpoints
from train.compiler import compiled
from train.evaluation import Evaluation, judge
from train.hooks import Hook
from train.seeds import generator, seed_for
from train.stage import Batch, Best, Stage, State
from train.world import World

LOOK = 50  # steps between two looks at the losses: reading one waits for the GPU


def fit(
    stage: Stage,
    seed: int,
    on_epoch: Callable[[int, Mapping[str, Any]], None],
    *,
    world: World,
    checkpoints: Checkpoints | None = None,
    hook: Hook | None = None,
    state: State | None = None,
    best: Best | None = None,
) -> Best | None:
    """Train a stage's model, leave it as it was after its best epoch, and return that one; None when no epoch was finished.

    `on_epoch` is called after every epoch with its number (from 1) and its metrics; `step_losses` and `step_seconds`
    hold one number a step. Best is the highest validation accuracy, then the lowest loss; `best` is what must be beaten.
    After SIGTERM it ends with the step under way. Every random number of a step comes from seed, stage, epoch, step and
    process, so a run that goes on from `state` draws what an uninterrupted one does. Raises ConfigError when the loss
    is no longer a number.
    """
    state = state or State()
    runner = _runner(stage, world)
    while state.epoch <= stage.epochs and not (stage.early_stopping and state.since_best >= stage.early_stopping):
        positions = torch.randperm(len(stage.labels), generator=generator(seed, stage.name, state.epoch))
        steps = positions.split(stage.batch_size)  # type: ignore[no-untyped-call]
        judged = None
        if _learn_epoch(stage, runner, state, steps, seed, world, checkpoints, hook):
            judged = _judge(stage)
        if judged is None:
            if checkpoints:
                checkpoints.save(stage, state)
            break
        logits, evaluation = judged
        if not math.isfinite(evaluation.loss):
            raise _not_a_number(stage, len(steps), state.epoch)
        if hook:
            hook.step("validation", {"loss": evaluation.loss})
        state.since_best += 1
        score = (evaluation.accuracy, -evaluation.loss)
        if best is None or score > best.score:
            best, state.since_best = Best(state.epoch, score, copied(stage.judged), logits), 0
            if checkpoints:
                checkpoints.save_best(stage.name, best)
        epoch, metrics = state.epoch, _metrics(stage, state, evaluation)
        state = State(epoch=epoch + 1, since_best=state.since_best)
        if checkpoints:
            checkpoints.epochs.append({"stage": stage.name, "epoch": epoch, "metrics": metrics})
            checkpoints.save(stage, state)
        # Last, so that a job that is killed here does not print the epoch's objective twice.
        on_epoch(epoch, metrics)
    if best is not None:
        stage.model.load_state_dict(best.model)
    return best


def _runner(stage: Stage, world: World) -> nn.Module:
    model = compiled(stage.model) if stage.compile else stage.model
    # Statistics of batches are frozen, so there is no buffer to keep equal.
    return DistributedDataParallel(model, broadcast_buffers=False) if world.size > 1 else model


def _learn_epoch(
    stage: Stage,
    runner: nn.Module,
    state: State,
    steps: Sequence[Tensor],
    seed: int,
    world: World,
    checkpoints: Checkpoints | None,
    hook: Hook | None,
) -> bool:
    """Do those steps of an epoch that are left, and return whether its end was reached before SIGTERM."""
    stage.model.train()
    for module in stage.model.modules():
        # Fine-tuning keeps the statistics of the pretraining, whose batches were larger than ours.
        if isinstance(module, _BatchNorm):
            module.eval()
    unread: list[Tensor] = []
    stopped = False
    with contextlib.closing(stage.batches(state.epoch, steps[state.step :])) as batches:
        while state.step < len(steps) and not stopped:
            started = time.perf_counter()
            batch = next(batches)
            state.waited += time.perf_counter() - started
            torch.manual_seed(seed_for(seed, stage.name, state.epoch, state.step, world.rank))
            unread.append(_learn(stage, runner, batch, len(steps[state.step]), world))
            if hook:
                hook.step("train", {"loss": unread[-1][0]})
            state.step += 1
            stopped, due = world.any(stop.requested.is_set(), bool(checkpoints and checkpoints.due()))
            if stopped or due or len(unread) == LOOK or state.step == len(steps):
                _read(unread, stage, state, world)
            state.seconds.append(time.perf_counter() - started)
            if due and checkpoints:
                checkpoints.save(stage, state)
    return not stopped


def _learn(stage: Stage, runner: nn.Module, batch: Batch, size: int, world: World) -> Tensor:
    """Do one step on this process's part of `size` photos; returns its share of the loss and its hits as a tensor [2]."""
    inputs, targets = batch
    tally = torch.zeros(2, device=inputs.device)
    parts = max(1, min(stage.accumulate, len(inputs)))
    stage.optimizer.zero_grad()
    for number, (part, target) in enumerate(zip(inputs.chunk(parts), targets.chunk(parts), strict=True), 1):
        together = isinstance(runner, DistributedDataParallel) and number < parts
        with runner.no_sync() if together else contextlib.nullcontext():  # type: ignore[operator]
            with stage.autocast():
                output = runner(part)
            logits, auxiliary = output if isinstance(output, tuple) else (output, None)
            loss = _loss(stage, logits, target) / size
            if auxiliary is not None:
                loss = loss + stage.auxiliary * _loss(stage, auxiliary, target) / size
            # Processes average their gradients, and their shares of a step differ: hence the factor.
            scaled = loss * world.size
            (stage.scaler.scale(scaled) if stage.scaler else scaled).backward()  # type: ignore[no-untyped-call]
        truth = target if target.ndim == 1 else target.argmax(1)
        tally += torch.stack((loss.detach(), (logits.detach().argmax(1) == truth).sum()))
    if stage.scaler:
        stage.scaler.unscale_(stage.optimizer)
    if stage.clip_norm:
        nn.utils.clip_grad_norm_(stage.model.parameters(), stage.clip_norm)
    if stage.scaler:
        stage.scaler.step(stage.optimizer)
        stage.scaler.update()
    else:
        stage.optimizer.step()
    if stage.schedule:
        stage.schedule.step()
    if stage.ema:
        stage.ema.update_parameters(stage.model)
    return tally


def _loss(stage: Stage, logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(
        logits.float(), targets, stage.class_weights, label_smoothing=stage.label_smoothing, reduction="sum"
    )


def _read(unread: list[Tensor], stage: Stage, state: State, world: World) -> None:
    """Move the steps' tallies into the state; raises ConfigError at the first loss that is no number."""
    tallies = world.total(torch.stack(unread)).tolist()
    unread.clear()
    for loss, hits in tallies:
        if not math.isfinite(loss):
            raise _not_a_number(stage, len(state.losses) + 1, state.epoch)
        state.losses.append(loss)
        state.hits += hits


def _judge(stage: Stage) -> tuple[Tensor, Evaluation] | None:
    """Return the validation logits and how they do, or None when SIGTERM came in between."""
    try:
        logits, labels = stage.predict(stage.judged)
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
        "learning_rate": max(group["lr"] for group in stage.optimizer.param_groups),
        "epoch:seconds": seconds,
        "data_wait_share": state.waited / seconds,
        "step_losses": state.losses,
        "step_seconds": state.seconds,
    }


def _not_a_number(stage: Stage, step: int, epoch: int) -> ConfigError:
    name = "lr" if stage.name == "head" else "finetune-lr"
    rate = stage.optimizer.param_groups[-1].get("initial_lr", stage.optimizer.param_groups[-1]["lr"])
    return ConfigError(f"the loss is no longer a number at step {step} of epoch {epoch}; lower {name}, now {rate:g}")


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's tensors."""
    return copy.deepcopy({name: value.detach() for name, value in model.state_dict().items()})
