"""A table of rows that arrive one after another and are held once: in memory, or in a file where they are many."""

import os
import tempfile

import numpy as np
import torch
from torch import Tensor

IN_MEMORY = 2**30  # bytes of features; more lies in a file, whose pages the kernel may drop and read again
MOVED = 1024  # rows that compact holds twice


def allocate(rows: int, columns: int, *, in_memory: bool) -> Tensor:
    """Return a float32 table [rows, columns] of whatever values; in memory too where the file has no room."""
    size = 4 * rows * columns
    if in_memory or not size:
        return torch.empty(rows, columns)
    try:
        # It has no name from the start, so nothing is left behind however the process ends.
        with tempfile.TemporaryFile() as file:
            # Trap: a sparse file would let the job die of SIGBUS, without a word, when the disk is full.
            os.posix_fallocate(file.fileno(), 0, size)
            return torch.from_numpy(np.memmap(file, np.float32, "r+", shape=(rows, columns)))
    except OSError:
        return torch.empty(rows, columns)


def compact(table: Tensor, keep: Tensor) -> Tensor:
    """Move the rows that the mask `keep` [rows] names to the top, in order, and return them: the same memory, no copy."""
    kept = keep.nonzero().flatten()
    if len(kept) < len(table):
        for start in range(0, len(kept), MOVED):
            # What is read lies at or below where it goes, and is copied before anything is written.
            part = kept[start : start + MOVED]
            table[start : start + len(part)] = table[part]
    return table[: len(kept)]
