"""Adding up the gradients of all processes: after the backward pass, or on GPUs while it still runs."""

import contextlib
import functools
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

BUCKET = (
    25 * 2**20
)  # bytes, as in torch's DistributedDataParallel: large enough for the network, small enough to begin early


@contextlib.contextmanager
def overlapped(parameters: Sequence[nn.Parameter], passes: int, size: int = BUCKET) -> Generator[None, None, None]:
    """While the block runs `passes` backward passes, sum the gradients in each .grad: over these passes and over all processes.

    Gradients travel in buckets, from the last layer to the first. A bucket is sent as soon as the last pass has computed all of the
    bucket's gradients. All processes send the buckets in the same order, as torch.distributed requires.
    """
    buckets = _buckets(parameters, size)
    missing = [passes * len(bucket) for bucket in buckets]
    sent: list[tuple[Tensor, Any]] = []

    def ready(number: int, parameter: nn.Parameter, gradient: Tensor) -> None:
        parameter.grad = gradient.detach() if parameter.grad is None else parameter.grad.add_(gradient.detach())
        missing[number] -= 1
        while len(sent) < len(buckets) and not missing[len(sent)]:
            sent.append(_send(buckets[len(sent)]))

    handles = [
        parameter.register_hook(functools.partial(ready, number, parameter))  # type: ignore[no-untyped-call]
        for number, bucket in enumerate(buckets)
        for parameter in bucket
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    # Each remaining bucket has a parameter on which the loss does not depend, so no hook sent it.
    sent += [_send(bucket) for bucket in buckets[len(sent) :]]
    for bucket, (whole, work) in zip(buckets, sent, strict=True):
        work.wait()
        _spread(bucket, whole)


def _buckets(parameters: Sequence[nn.Parameter], size: int) -> list[list[nn.Parameter]]:
    buckets: list[list[nn.Parameter]] = []
    room = 0
    for parameter in reversed(parameters):
        if room <= 0:
            buckets.append([])
            room = size
        buckets[-1].append(parameter)
        room -= parameter.nbytes
    return buckets


def add_up(parameters: Sequence[nn.Parameter]) -> None:
    """Replace each .grad by its sum over all processes."""
    whole, work = _send(parameters)
    work.wait()
    _spread(parameters, whole)


def _send(parameters: Sequence[nn.Parameter]) -> tuple[Tensor, Any]:
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    whole = torch.cat([parameter.grad.reshape(-1) for parameter in parameters if parameter.grad is not None])
    return whole, distributed.all_reduce(whole, async_op=True)


def _spread(parameters: Sequence[nn.Parameter], whole: Tensor) -> None:
    parts = torch.split(whole, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        assert parameter.grad is not None
        parameter.grad.copy_(part.view_as(parameter))
