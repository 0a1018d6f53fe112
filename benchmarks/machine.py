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

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow", "aiohttp")


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
        "date": datetime.date.today().isoformat(),
    }


def has_bf16() -> bool:
    """Return whether the processor computes in bfloat16."""
    return bool({"avx512_bf16", "amx_bf16"} & set(describe()["flags"]))


def summary(machine: Mapping[str, Any]) -> str:
    """Return a description of the machine in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['cores']} cores, {machine['cpu']} ({', '.join(machine['flags'])}), load {machine['load_average']:.1f}; "
        f"Python {machine['python']}, {versions}; {machine['date']}"
    )


def sample_photos(folder: Path, count: int) -> list[Path]:
    """Return `count` JPEG files from anywhere in the folder, always the same ones, or all where it holds fewer."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    return random.Random(0).sample(found, min(count, len(found)))


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the median of measured values, and the smallest and the largest of them."""
    return {"median": median(values), "spread": [min(values), max(values)]}


def write_results(name: str, results: Mapping[str, Any]) -> None:
    """Write results/NAME.json, with five digits of each number, and say so."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(_text(_rounded(results)) + "\n")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def free_port(below: int = 65536) -> int:
    """Return a port that nothing listens on; `below` is for servers that refuse high ones."""
    while True:
        port = random.SystemRandom().randrange(10_000, below)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _text(value: Any, indent: str = "") -> str:
    """Return JSON whose innermost objects and lists are on one line each."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not any(inner_value and isinstance(inner_value, dict | list) for inner_value in inner):
        return json.dumps(value)
    names = [f"{json.dumps(key)}: " for key in value] if isinstance(value, dict) else [""] * len(inner)
    lines = [f"{indent} {name}{_text(each, indent + ' ')}" for name, each in zip(names, inner, strict=True)]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return "\n".join((first, ",\n".join(lines), indent + last))
