"""The feature pass on a GPU: lanes decode, and one thread sends their photos through the backbone in full batches.

cuDNN keeps its plans per thread and shape. The lanes are new threads in every pass, so they would make the plans again. Therefore only the
thread that collects the chunks computes, and it fills up an incomplete last batch.
"""

import contextlib
import sys
from collections import deque
from collections.abc import Generator, Iterable, Sequence

import torch
from torch import Tensor

from train.features.lanes import Chunk, PassSeconds, Shared, View, Work, forward, in_flight
from train.gpu_memory import is_full

# The number of photos and views that go through the backbone together, by device; 0 means that each lane computes its own.
BATCH = {"cpu": 0, "cuda": 64}


def collected(shared: Shared, batch: int, works: Iterable[Work], lanes: int) -> Generator[Chunk, None, None]:
    """Decode on `lanes` threads, and yield each chunk as soon as its last photo went through the backbone."""
    waiting: deque[tuple[Chunk, View]] = deque()
    batches = _Batches(shared, batch)
    with contextlib.closing(in_flight(shared.decode, works, lanes)) as chunks:
        for chunk in chunks:
            waiting.extend((chunk, view) for view in chunk.waiting)
            if not chunk.waiting:
                yield chunk
            while len(waiting) >= batch:
                yield from batches.run([waiting.popleft() for _ in range(batch)])
        if waiting:
            yield from batches.run(list(waiting))


class _Batches:
    """Sends views through the backbone in batches of one shape, from pinned memory that a GPU reads directly."""

    def __init__(self, shared: Shared, size: int) -> None:
        self._shared, self._size = shared, size
        crop = shared.model.preprocessing.crop
        pinned = next(shared.model.parameters()).is_cuda
        self._pixels = torch.zeros(size, crop, crop, 3, dtype=torch.uint8, pin_memory=pinned)

    def run(self, views: Sequence[tuple[Chunk, View]]) -> list[Chunk]:
        """Compute the features of views of several chunks, and return the chunks that are now complete."""
        seconds = PassSeconds()
        features = self._features([view for _, view in views], seconds)
        for (chunk, view), row in zip(views, features, strict=True):
            self._shared.keep(chunk, [view], row[None])
            chunk.seconds.add(seconds, 1 / len(views))
        return [chunk for chunk, view in views if view is chunk.waiting[-1]]

    def _features(self, views: Sequence[View], seconds: PassSeconds) -> Tensor:
        while True:
            try:
                parts = [views[start : start + self._size] for start in range(0, len(views), self._size)]
                return torch.cat([self._forward(part, seconds) for part in parts])
            except RuntimeError as error:
                if self._size == 1 or not is_full(error):
                    raise
            # This is outside of the except block because the error keeps the batch's memory in use.
            self._size //= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            print(f"the GPU's memory is too small for the batch; going on with {self._size} photos", file=sys.stderr)

    def _forward(self, views: Sequence[View], seconds: PassSeconds) -> Tensor:
        for row, view in zip(self._pixels, views, strict=False):
            row.copy_(torch.from_numpy(view.pixels))
        pixels = self._pixels[: self._size]
        return forward(self._shared.model, pixels, self._shared.precision, seconds)[: len(views)]
