"""The processes of one job: one alone, or those that torchrun started on all hosts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from train import environment, stop


@dataclass(frozen=True)
class World:
    """This process's rank among the job's processes, and the exchange of values between them.

    With one process, each method returns its argument.
    """

    rank: int = 0
    size: int = 1
    control: Any = None  # torch's process group for values in main memory

    @property
    def chief(self) -> bool:
        """Whether this is the one process that writes the job's files, except the measurements, which each host writes."""
        return self.rank == 0

    def mine(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return this process's share of `items`: every size-th one."""
        return items[self.rank :: self.size]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in the order of their ranks. Values travel as pickles inside the job."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value, group=self.control)
        return values

    def broadcast(self, value: Any) -> Any:
        """Return the chief's value."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, group=self.control)
        return box[0]

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is true in any process."""
        if self.size == 1:
            return flags
        raised = torch.tensor(flags, dtype=torch.uint8)
        distributed.all_reduce(raised, distributed.ReduceOp.MAX, group=self.control)
        return tuple(map(bool, raised))

    def stopped(self) -> bool:
        """Return whether any process got SIGTERM; if so, all processes stop as if they had got it."""
        (stopped,) = self.any(stop.requested.is_set())
        if stopped:
            stop.requested.set()
        return stopped

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            distributed.barrier(group=self.control)


def local_threads() -> int:
    """Return how many threads this process should use: its share of the cores that this host's processes may run on.

    Trap: if two trials that run side by side have one thread too many each, their threads wait for one another. A self-test then took 18 s
    instead of 0.5 s.
    """
    cores, processes = len(os.sched_getaffinity(0)), environment.LOCAL_WORLD_SIZE.read()
    # torchrun sets OMP_NUM_THREADS to 1 for each of several processes, even if there are more cores.
    most = environment.OMP_NUM_THREADS.read() if processes == 1 else 0
    return max(1, min(cores // processes, most or cores))


def device() -> torch.device:
    """Return the device that this process computes on: its own GPU, or the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", environment.LOCAL_RANK.read())
