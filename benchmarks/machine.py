"""What every benchmark shares: the machine's description, photos to measure with, the results file."""

import contextlib
import datetime
import json
import os
import platform
import random
import socket
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow", "aiohttp")
SUFFIXES = (".jpg", ".jpeg")


def describe() -> dict[str, Any]:
    """Return the processor, its cores and the flags that decide speed, the versions, the load now and the date."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    info = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {
        "cpu": info.get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in info.get("flags", "").split()],
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: found for name in LIBRARIES if (found := _version(name))},
        "date": datetime.date.today().isoformat(),
    }


def summary(machine: Mapping[str, Any]) -> str:
    """Return a description of the machine in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['cores']} cores, {machine['cpu']} ({', '.join(machine['flags'])}), load {machine['load_average']:.1f}; "
        f"Python {machine['python']}, {versions}; {machine['date']}"
    )


def sample_photos(folder: Path, count: int) -> list[Path]:
    """Return `count` JPEG files from anywhere in the folder, always the same ones, or all where it holds fewer."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return random.Random(0).sample(found, min(count, len(found)))


def spread(values: Sequence[float]) -> str:
    """Return minimum, median and maximum as table columns."""
    return f"{min(values):8.1f} {median(values):8.1f} {max(values):8.1f}"


def write_results(name: str, results: Mapping[str, Any]) -> None:
    """Write results/NAME.json and say so."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def free_port(below: int = 65536) -> int:
    """Return a port that nothing listens on; `below` is for servers that refuse high ones."""
    if below == 65536:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])
    while True:
        port = random.SystemRandom().randrange(10_000, below)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
