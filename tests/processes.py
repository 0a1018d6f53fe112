"""Checks from outside the processes that a program has started."""

import psutil


def left(family: list[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that still run a while after they were stopped; a process closes its files a moment before it ends."""
    _, alive = psutil.wait_procs(family, timeout=60)
    return [child for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
