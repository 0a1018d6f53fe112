"""A table whose rows arrive one after another. It is either in memory or, if it is large, in a file."""

import os
import tempfile

import numpy as np
import torch
from torch import Tensor

# Bytes of features in memory; a larger table is in a file, whose pages the kernel may drop and read again.
IN_MEMORY = 2**30
MOVED = 1024  # the number of rows that compact() copies at a time


def allocate(rows: int, columns: int, *, in_memory: bool) -> Tensor:
    """Return a float32 table [rows, columns] whose values are not set; in memory if there is no room for the file."""
    size = 4 * rows * columns
    if in_memory or not size:
        return torch.empty(rows, columns)
    try:
        # The file never has a name, so no file remains after any end of the process.
        with tempfile.TemporaryFile() as file:
            # Trap: in a sparse file, a full disk would end the job by SIGBUS without a message.
            os.posix_fallocate(file.fileno(), 0, size)
            return torch.from_numpy(np.memmap(file, np.float32, "r+", shape=(rows, columns)))
    except OSError:
        return torch.empty(rows, columns)


def compact(table: Tensor, keep: Tensor) -> Tensor:
    """Move the rows where the mask `keep` [rows] is true to the top, in order, and return them; they share the memory."""
    kept = keep.nonzero().flatten()
    if len(kept) < len(table):
        for start in range(0, len(kept), MOVED):
            # Rows only move up, and each part is copied before any of it is written.
            part = kept[start : start + MOVED]
            table[start : start + len(part)] = table[part]
    return table[: len(kept)]
