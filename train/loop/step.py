"""One step of training: the forward and the backward pass, the sum of the gradients of all processes, and the update."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.loop.reduce import add_up, overlapped
from train.loop.stage import Batch, Stage
from train.loop.timing import StepClock
from train.report import Watch

Lanes = Callable[..., Any]  # as map()


@dataclass(frozen=True, kw_only=True)
class Step:
    """The input of one step: its batch, the number of its photos in all processes, and the object that measures its time."""

    batch: Batch
    size: int
    clock: StepClock
    watch: Watch | None


@contextlib.contextmanager
def lanes_of(stage: Stage) -> Generator[Lanes, None, None]:
    """Yield a map() over the parts of a step: on a thread for each core, or one part after the other."""
    if not stage.lane:
        yield map
        return
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool:
        yield pool.map
    # Trap: set_num_threads(1) in a lane also reaches the libraries below torch, and there it counts for all threads.
    torch.set_num_threads(threads)


def learn(stage: Stage, runner: nn.Module, lanes: Lanes, step: Step) -> Tensor:
    """Do one step on this process's part of its photos, and return a tensor [2]: its share of the loss, its hits."""
    inputs, targets = stage.mix(*step.batch) if stage.mix and len(step.batch[1]) else step.batch
    updates, world, clock, watch = stage.updates, stage.world, step.clock, step.watch
    parameters = updates.parameters

    def learn_part(part: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        pixels, target = part
        began = clock.mark()
        with stage.autocast():
            output = runner(pixels)
        logits, auxiliary = output if isinstance(output, tuple) else (output, None)
        loss = loss_of(stage, logits, target) / step.size
        if auxiliary is not None:
            loss = loss + stage.auxiliary * loss_of(stage, auxiliary, target) / step.size
        between = clock.mark()
        # Not backward(): if lanes add to the same .grad at the same time, some additions are lost.
        gradients = torch.autograd.grad(updates.scaled(loss), parameters, materialize_grads=True)
        clock.add("forward", began, between)
        clock.add("backward", between, clock.mark())
        truth = target if target.ndim == 1 else target.argmax(1)
        return torch.stack((loss.detach(), (logits.detach().argmax(1) == truth).sum())), gradients

    parts = max(1, min(len(inputs), -(-len(inputs) // stage.lane) if stage.lane else stage.accumulate))
    tally = torch.zeros(2, device=inputs.device)
    updates.optimizer.zero_grad()
    # On processors this would gain nothing: all cores compute until the end, and the network between the hosts is not the slow part.
    overlap = world.size > 1 and inputs.is_cuda
    began = clock.mark()
    with (
        overlapped(parameters, parts) if overlap else contextlib.nullcontext(),
        # The layers of a compiled model cannot be observed.
        watch.activations() if watch and not stage.compile else contextlib.nullcontext(),
    ):
        for share, gradients in lanes(learn_part, zip(inputs.chunk(parts), targets.chunk(parts), strict=True)):
            tally += share
            if not overlap:
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        computed = clock.mark()
    if stage.lane:
        clock.side_by_side(began, computed)
    if world.size > 1:
        if not overlap:
            add_up(parameters)
        clock.add("exchange", computed, clock.mark())
    if watch:
        watch.before_update(updates.scale)
    began = clock.mark()
    updates.step()
    clock.add("optimizer", began, clock.mark())
    if watch:
        watch.after_update()
    return tally


def loss_of(stage: Stage, logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(
        logits.float(), targets, stage.class_weights, label_smoothing=stage.label_smoothing, reduction="sum"
    )
