"""A process's share of one split: the rows that its lanes fill, and what it tells the other processes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from classifier.images import Pixels
from train.lanes import Chunk, Work
from train.table import IN_MEMORY, allocate, compact


@dataclass(frozen=True)
class Report:
    """What every process has to know of another's share; a photo is named by its place in the split as it was listed."""

    readable: npt.NDArray[np.int64]
    digests: npt.NDArray[np.uint8]
    unreadable: dict[int, str]
    pixels: dict[int, Pixels]
    columns: int


class Share:
    """Features of photos and their views, photo by photo as they come, for the works of one split in this process."""

    def __init__(self, works: Sequence[Work]) -> None:
        self.places = np.array([work.start + n for work in works for n in range(len(work.photos))], np.int64)
        self.copies = 1 + (works[0].views if works else 0)
        self.unreadable: dict[int, str] = {}
        self._readable = np.zeros(len(self.places), bool)
        self._digests = np.empty((len(self.places), 32), np.uint8)
        self._pixels: dict[int, Pixels] = {}
        self._table: Tensor | None = None

    def take(self, chunk: Chunk) -> None:
        """Keep a chunk's features; the table must be there if it has any."""
        first, count = chunk.work.first, len(self.places)
        for index, view, row in chunk.rows:
            assert self._table is not None
            self._table[view * count + first + index] = row
        for index, digest in chunk.digests.items():
            self._readable[first + index] = True
            self._digests[first + index] = np.frombuffer(digest, np.uint8)
        self.unreadable |= {chunk.work.start + index: reason for index, reason in chunk.unreadable.items()}
        self._pixels |= {chunk.work.start + index: pixels for index, pixels in chunk.pixels.items()}

    def report(self) -> Report:
        """Return what this process found."""
        mine = self._readable
        columns = 0 if self._table is None else self._table.shape[1]
        return Report(self.places[mine], self._digests[mine], self.unreadable, self._pixels, columns)

    def features(self, columns: int) -> Tensor:
        """Return float32 features [rows, columns] of the readable photos, then of their first views, and so on."""
        if self._table is None:
            return torch.empty(0, columns)
        return compact(self._table, torch.from_numpy(np.tile(self._readable, self.copies)))

    def allocate(self, columns: int, *, in_memory: bool) -> None:
        """Make room for features of so many numbers."""
        self._table = allocate(len(self.places) * self.copies, columns, in_memory=in_memory)

    @property
    def allocated(self) -> bool:
        return self._table is not None


def make_room(shares: Mapping[str, Share], chunk: Chunk) -> None:
    """Allocate all tables when the first features say how wide they are."""
    if chunk.rows and not any(share.allocated for share in shares.values()):
        columns = len(chunk.rows[0][2])
        rows = sum(len(share.places) * share.copies for share in shares.values())
        for share in shares.values():
            share.allocate(columns, in_memory=4 * rows * columns <= IN_MEMORY)
