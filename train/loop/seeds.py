"""Random numbers that depend on where in the job they are drawn, and on nothing that happened before.

A run that goes on from a checkpoint, or one with more worker processes, therefore draws what any other would.
"""

import hashlib

import torch


def seed_for(*place: int | str) -> int:
    """Return a seed of 63 bits for a place in the job, such as the job's seed, a stage's name, an epoch and a step."""
    digest = hashlib.sha256("/".join(map(str, place)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*place: int | str) -> torch.Generator:
    """Return a generator seeded for a place in the job."""
    return torch.Generator().manual_seed(seed_for(*place))
