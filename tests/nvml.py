"""A stand-in of the package nvidia-ml-py, for machines without a GPU: the functions of its module pynvml that serving calls.

Names, arguments, members and errors are those of pynvml.py in nvidia-ml-py 13.615.71.
"""

import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace

import pytest


class NVMLError(Exception):
    """The error that each function raises if the driver's library answers with an error."""


def install(monkeypatch: pytest.MonkeyPatch, gpus: Sequence[tuple[int | None, int, int]], driver: bool = True) -> None:
    """Let `import pynvml` find GPUs: the use in percent (None if not supported), and the used and the whole memory in bytes, of each."""

    def init() -> None:
        if not driver:
            raise NVMLError("NVML Shared Library Not Found")

    def rates(handle: int) -> SimpleNamespace:
        use = gpus[handle][0]
        if use is None:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=use, memory=7)

    module = ModuleType("pynvml")
    module.__dict__.update(
        NVMLError=NVMLError,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: len(gpus),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUtilizationRates=rates,
        nvmlDeviceGetMemoryInfo=lambda handle, version=None: SimpleNamespace(
            total=gpus[handle][2], free=gpus[handle][2] - gpus[handle][1], used=gpus[handle][1]
        ),
    )
    monkeypatch.setitem(sys.modules, "pynvml", module)
