"""Reads the present state of this machine's disks and GPUs; GPUs through the package nvidia-ml-py, which only the CUDA images hold."""

import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU's state. A value is None if the GPU does not report it, like some parts of a divided GPU."""

    busy: float | None  # the share of the last second (or less) in which the GPU computed, from 0 to 1
    memory_used: int | None  # bytes in use by all programs
    memory_size: int | None


def disk_used(folders: Iterable[Path]) -> float | None:
    """Return the used share of the fullest file system that holds one of the folders, from 0 to 1; None without any folder."""
    shares = []
    for folder in folders:
        with contextlib.suppress(OSError):  # a missing folder
            usage = shutil.disk_usage(folder)
            # df computes it in the same way: space reserved for root counts neither as used nor as free.
            if usage.used + usage.free:
                shares.append(usage.used / (usage.used + usage.free))
    return max(shares, default=None)


def gpus() -> list[Gpu]:
    """Return each GPU's state as NVML reports it, in NVML's order; empty without the package, a driver or a GPU."""
    try:
        import pynvml

        pynvml.nvmlInit()  # NVML counts these calls; the first one loads the driver's library
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # ImportError, and NVML's own errors: no driver, a lost GPU
        return []
    found = []
    for handle in handles:
        busy = used = size = None
        with contextlib.suppress(pynvml.NVMLError):
            busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        with contextlib.suppress(pynvml.NVMLError):
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            used, size = int(memory.used), int(memory.total)
        found.append(Gpu(busy=busy, memory_used=used, memory_size=size))
    return found
