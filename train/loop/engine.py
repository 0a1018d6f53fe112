"""fit(): the training loop of both stages, the head on features and fine-tuning on photos."""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from classifier.errors import ConfigError
from train import stop
from train.evaluation import Evaluation, judge
from train.loop.checkpoint import Checkpoints
from train.loop.compiler import compiled
from train.loop.feed import fed
from train.loop.reduce import add_up, overlapped
from train.loop.seeds import generator, seed_for
from train.loop.stage import Batch, Best, Stage, State
from train.report import Hook

Lanes = Callable[..., Any]  # as map()
LOOK = 50  # steps after which the losses are read; each reading waits for the GPU


def fit(
    stage: Stage,
    on_epoch: Callable[[int, Mapping[str, Any]], None],
    *,
    checkpoints: Checkpoints | None = None,
    hook: Hook | None = None,
    state: State | None = None,
    best: Best | None = None,
) -> Best | None:
    """Train a stage's model, leave it as it was after its best epoch, and return that epoch; None where none was finished.

    The best epoch has the highest validation accuracy, then the lowest loss, and must be better than `best`. `on_epoch` is
    called after every epoch with its number (from 1) and its metrics; the metrics `step_losses` and `step_seconds` hold one
    number for each step. After SIGTERM the step under way is finished. Every random number of a step follows from seed,
    stage, epoch, step and process, so a run that goes on from `state` draws the same as one that was never interrupted.
    Raises ConfigError when the loss is no longer a number.
    """
    state = state or State()
    runner = compiled(stage.model) if stage.compile else stage.model
    while state.epoch <= stage.epochs and not (stage.early_stopping and state.since_best >= stage.early_stopping):
        positions = torch.randperm(len(stage.labels), generator=generator(stage.seed, stage.name, state.epoch))
        steps = positions.split(stage.batch_size)  # type: ignore[no-untyped-call]
        judged = None
        if _learn_epoch(stage, runner, state, steps, checkpoints, hook):
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
            best = Best(epoch=state.epoch, score=score, model=copied(stage.updates.judged), logits=logits)
            state.since_best = 0
            if checkpoints:
                checkpoints.save_best(stage.name, best)
        epoch, metrics = state.epoch, _metrics(stage, state, evaluation)
        state = State(epoch=epoch + 1, since_best=state.since_best)
        if checkpoints:
            checkpoints.epochs.append({"stage": stage.name, "epoch": epoch, "metrics": metrics})
            checkpoints.save(stage, state)
        # Last, so that a job that is killed just before and goes on later does not print this epoch's metrics twice.
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
    hook: Hook | None,
) -> bool:
    """Do the steps that are left of an epoch, and return whether it ended before SIGTERM."""
    set_learning(stage.model)
    unread: list[Tensor] = []
    world = stage.world
    stopped = False
    device = next(stage.model.parameters()).device
    with (
        contextlib.closing(stage.batches(state.epoch, steps[state.step :])) as loaded,
        contextlib.closing(fed(loaded, device, state)) as batches,
        _lanes(stage) as lanes,
    ):
        while state.step < len(steps) and not stopped:
            started = time.perf_counter()
            batch = next(batches)
            torch.manual_seed(seed_for(stage.seed, stage.name, state.epoch, state.step, world.rank))
            unread.append(_learn(stage, runner, lanes, batch, len(steps[state.step])))
            if hook:
                hook.step("train", {"loss": unread[-1][0]})
            state.step += 1
            stopped, due = world.any(stop.requested.is_set(), bool(checkpoints and checkpoints.due()))
            if stopped or due or len(unread) == LOOK or state.step == len(steps):
                _read(unread, stage, state)
            state.seconds.append(time.perf_counter() - started)
            if due and checkpoints:
                checkpoints.save(stage, state)
    return not stopped


def set_learning(model: nn.Module) -> None:
    """Put a model into training mode, but leave the statistics of its batch normalisation as they are."""
    model.train()
    for module in model.modules():
        # The statistics of the pretraining are better: its batches were larger than ours.
        if isinstance(module, _BatchNorm):
            module.eval()


@contextlib.contextmanager
def _lanes(stage: Stage) -> Generator[Lanes, None, None]:
    """Give a map() over the parts of a step: on a thread for each core, or one part after the other."""
    if not stage.lane:
        yield map
        return
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool:
        yield pool.map
    # Trap: set_num_threads(1) in a lane also reaches the libraries below torch, and there it counts for all threads.
    torch.set_num_threads(threads)


def _learn(stage: Stage, runner: nn.Module, lanes: Lanes, batch: Batch, size: int) -> Tensor:
    """Do one step on this process's part of its `size` photos, and return a tensor [2]: its share of the loss, its hits."""
    inputs, targets = stage.mix(*batch) if stage.mix and len(batch[1]) else batch
    updates, world = stage.updates, stage.world
    parameters = updates.parameters

    def learn_part(part: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        pixels, target = part
        with stage.autocast():
            output = runner(pixels)
        logits, auxiliary = output if isinstance(output, tuple) else (output, None)
        loss = _loss(stage, logits, target) / size
        if auxiliary is not None:
            loss = loss + stage.auxiliary * _loss(stage, auxiliary, target) / size
        # Not backward(): when lanes add to the same .grad at the same time, some of the sums are lost.
        gradients = torch.autograd.grad(updates.scaled(loss), parameters, materialize_grads=True)
        truth = target if target.ndim == 1 else target.argmax(1)
        return torch.stack((loss.detach(), (logits.detach().argmax(1) == truth).sum())), gradients

    parts = max(1, min(len(inputs), -(-len(inputs) // stage.lane) if stage.lane else stage.accumulate))
    tally = torch.zeros(2, device=inputs.device)
    updates.optimizer.zero_grad()
    # On processors nothing is gained: all cores compute to the end, and the network is not the slow part.
    overlap = world.size > 1 and inputs.is_cuda
    with overlapped(parameters, parts) if overlap else contextlib.nullcontext():
        for share, gradients in lanes(learn_part, zip(inputs.chunk(parts), targets.chunk(parts), strict=True)):
            tally += share
            if not overlap:
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
    if world.size > 1 and not overlap:
        add_up(parameters)
    updates.step()
    return tally


def _loss(stage: Stage, logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(
        logits.float(), targets, stage.class_weights, label_smoothing=stage.label_smoothing, reduction="sum"
    )


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
    """Return the validation logits and how good they are, or None if SIGTERM interrupted."""
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
    # In fp16 a value above 65,504 becomes infinite, which may happen at a rate that suits bf16 and fp32.
    remedy = "set precision to bf16 or fp32, or " if stage.updates.scaler else ""
    return ConfigError(
        f"the loss is no longer a number at step {step} of epoch {epoch}; {remedy}lower {name}, now {stage.updates.highest_rate:g}"
    )


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's tensors."""
    return copy.deepcopy({name: value.detach() for name, value in model.state_dict().items()})
