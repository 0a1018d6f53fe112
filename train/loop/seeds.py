"""Random numbers that depend only on the place in the job where they are drawn, not on earlier draws.

So a run that goes on from a checkpoint, or has more worker processes, draws the same numbers as any other.
"""

import hashlib

import torch


def seed_for(*place: int | str) -> int:
    """Return a seed of 63 bits for a place in the job, given for example as seed, name of the stage, epoch and step."""
    digest = hashlib.sha256("/".join(map(str, place)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*place: int | str) -> torch.Generator:
    """Return a generator seeded for a place in the job."""
    return torch.Generator().manual_seed(seed_for(*place))


def seed_torch(device: torch.device, *place: int | str) -> None:
    """Seed torch's global generators for a place in the job: those of a processor, and of a GPU if the device is one.

    Trap: torch.manual_seed also seeds every kind of accelerator, and for each one that the machine lacks it records the whole call stack.
    That takes 0.1 to 0.6 ms (`python -m timeit -s 'import torch' 'torch.manual_seed(0)'`), which was half of a small head's step.
    """
    seed = seed_for(*place)
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
