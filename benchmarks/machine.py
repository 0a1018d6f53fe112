"""Functions for all benchmarks: the description of the machine, a sample of JPEG photos, and timing."""

import os
import platform
import random
import time
from collections.abc import Callable, Mapping
from datetime import date
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LITE = "timm/tf_efficientnet_lite0"
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow", "aiohttp")


class NotRun(Exception):
    """Raised if something cannot be measured. The text is one sentence with the reason."""


def describe() -> dict[str, Any]:
    """Return the processor, the number of its cores, the flags that influence speed, the load average, versions and the date."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    info = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {
        "cpu": info.get("model name", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in info.get("flags", "").split()],
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {found.name: found.version for found in distributions() if found.name in LIBRARIES},
        "date": date.today().isoformat(),
    }


def has_bf16() -> bool:
    """Return True if the processor has instructions for bfloat16."""
    return bool({"avx512_bf16", "amx_bf16"} & set(describe()["flags"]))


def sample_photos(folder: Path, count: int) -> list[Path]:
    """Return `count` JPEG files below the folder, the same at each call, or all files if it holds fewer.

    Raises NotRun if the folder holds no JPEG file.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise NotRun(f"{folder} holds no JPEG photos; name a folder of photos")
    return random.Random(0).sample(found, min(count, len(found)))


def seconds(function: Callable[..., object], *arguments: Any, clock: Callable[[], float] = time.perf_counter) -> float:
    """Call a function and return its duration in seconds."""
    start = clock()
    function(*arguments)
    return clock() - start


def in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Call all functions in each round, and return the seconds of each by round.

    Every second round runs in reverse order, because the speed of a shared machine may change threefold from one call to the next.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            found[name].append(seconds(ways[name], clock=clock))
    return found
