"""Batches on their way to the model's device. On a GPU each one is copied while the step before it is computed."""

import time
from collections.abc import Generator, Iterator
from typing import Any

import torch

from train.loop.stage import Batch, State


def fed(batches: Iterator[Batch], device: torch.device, state: State) -> Generator[Batch, None, None]:
    """Yield batches on the device, and add to `state` how long the host waits for them. Copying is not counted."""
    if device.type != "cuda":
        for pixels, targets in _timed(batches, state):
            yield pixels.to(device), targets.to(device)
        return
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    ahead: tuple[Batch, Any] | None = None
    for batch in _timed(batches, state):
        copied = _copied(batch, device, side)
        if ahead:
            yield _taken(*ahead, device)
        ahead = copied
    if ahead:
        yield _taken(*ahead, device)


def _timed(batches: Iterator[Batch], state: State) -> Generator[Batch, None, None]:
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        state.waited += time.perf_counter() - started
        if batch is None:
            return
        yield batch


def _copied(batch: Batch, device: torch.device, side: Any) -> tuple[Batch, Any]:
    """Start to copy a batch on the stream `side`. The host need not wait for the copy, since the memory is pinned."""
    with torch.cuda.stream(side):
        pixels, targets = (tensor.pin_memory().to(device, non_blocking=True) for tensor in batch)
    return (pixels, targets), side.record_event()


def _taken(batch: Batch, done: Any, device: torch.device) -> Batch:
    """Return a batch whose copy was started. The stream that computes waits for the copy; the host does not."""
    current = torch.cuda.current_stream(device)
    current.wait_event(done)
    for tensor in batch:
        # Trap: without this, the next copy may overwrite the memory while this batch is still read.
        tensor.record_stream(current)
    return batch
