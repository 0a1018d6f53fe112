"""Runs a torch model on a processor's cores side by side, each on other photos. Imports torch."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(compute: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return `compute(item)` of each item. It runs as many Python threads as torch may use, and torch uses one thread in each.

    Threads that share one photo wait for each other at every layer. This took 4 to 15 times as long on 2 cores while another program used a
    core.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(compute, items))
    finally:
        # Trap: set_num_threads(1) in a thread also reaches the libraries below torch, where it applies to all threads.
        torch.set_num_threads(threads)
