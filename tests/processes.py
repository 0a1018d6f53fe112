"""Processes that a program has started, looked at from outside."""

import psutil


def left(family: list[psutil.Process]) -> list[psutil.Process]:
    """Return what still runs a while after it was stopped; a process closes its files a moment before it is gone."""
    _, alive = psutil.wait_procs(family, timeout=20)
    return [child for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
