"""What every benchmark shares: the machine's description, JPEG photos to measure with, and a clock."""

import contextlib
import os
import platform
import random
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow", "aiohttp")


class NotRun(Exception):
    """Why something could not be measured, as one sentence."""


def describe() -> dict[str, Any]:
    """Return the processor, its cores and the flags that decide speed, the versions, the load now and the date."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    info = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    versions = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "cpu": info.get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in info.get("flags", "").split()],
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": versions,
        "date": date.today().isoformat(),
    }


def has_bf16() -> bool:
    """Return whether the processor computes in bfloat16."""
    return bool({"avx512_bf16", "amx_bf16"} & set(describe()["flags"]))


def sample_photos(folder: Path, count: int) -> list[Path]:
    """Return `count` JPEG files from anywhere in the folder, always the same ones, or all where it holds fewer.

    Raises NotRun where it holds none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise NotRun(f"{folder} holds no JPEG photos; name a folder of photos")
    return random.Random(0).sample(found, min(count, len(found)))


def seconds(function: Callable[..., object], *arguments: Any) -> float:
    """Call a function and return how long it took."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start
