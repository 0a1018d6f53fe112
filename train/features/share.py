"""A process's share of one split: the features that its lanes compute, and its contribution to all processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from classifier.images import Pixels
from train.features.lanes import Chunk, Work
from train.features.table import IN_MEMORY, allocate, compact


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """The facts about a process's share that it sends to the other processes. Photos are named by their index in the split.

    `readable` is int64 [n], `digests` uint8 [n, 32] (SHA-256), and `columns` the length of a feature, 0 if there are none.
    """

    readable: npt.NDArray[np.int64]
    digests: npt.NDArray[np.uint8]
    unreadable: dict[int, str]
    pixels: dict[int, Pixels]
    columns: int


class Share:
    """This process's features of one split, filled chunk by chunk.

    `works` is all work on the split in this process. `rows` counts the features of all splits in this process: together they
    decide whether features are kept in memory or in a file.
    """

    def __init__(self, works: Sequence[Work], rows: int) -> None:
        self.places = np.array([work.start + n for work in works for n in range(len(work.photos))], np.int64)
        self._rows = rows
        self.copies = 1 + (works[0].views if works else 0)
        self.unreadable: dict[int, str] = {}
        self._readable = np.zeros(len(self.places), bool)
        self._digests = np.empty((len(self.places), 32), np.uint8)
        self._pixels: dict[int, Pixels] = {}
        self._table: Tensor | None = None

    def take(self, chunk: Chunk) -> None:
        """Keep a chunk's features, its photos' digests and pixels, and why some of them cannot be read."""
        first, count = chunk.work.first, len(self.places)
        for index, view, row in chunk.rows:
            self._room(len(row))[view * count + first + index] = row
        for index, digest in chunk.digests.items():
            self._readable[first + index] = True
            self._digests[first + index] = np.frombuffer(digest, np.uint8)
        self.unreadable |= {chunk.work.start + index: reason for index, reason in chunk.unreadable.items()}
        self._pixels |= {chunk.work.start + index: pixels for index, pixels in chunk.pixels.items()}

    def contribution(self) -> Contribution:
        """Return the facts for the other processes."""
        mine = self._readable
        columns = 0 if self._table is None else self._table.shape[1]
        return Contribution(
            readable=self.places[mine],
            digests=self._digests[mine],
            unreadable=self.unreadable,
            pixels=self._pixels,
            columns=columns,
        )

    def features(self, columns: int) -> Tensor:
        """Return float32 [rows, columns]: the features of the readable photos, then those of their first views, and so on."""
        if self._table is None:
            return torch.empty(0, columns)
        return compact(self._table, torch.from_numpy(np.tile(self._readable, self.copies)))

    def _room(self, columns: int) -> Tensor:
        """Return the table of features. It is made for the first feature, whose length is the number of columns."""
        if self._table is None:
            in_memory = 4 * self._rows * columns <= IN_MEMORY
            self._table = allocate(len(self.places) * self.copies, columns, in_memory=in_memory)
        return self._table
