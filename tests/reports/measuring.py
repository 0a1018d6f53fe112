"""Synthetic records of steps, tensors and machines for the tests, in the format of docs/records.md."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.reports.made import Record, record


def steps(stage: str, epoch: int, seconds: Sequence[float], **parts: float) -> Record:
    """Return a record of steps; each part takes the same share of every step."""
    shares = {"wait": 0.1, "move": 0.0, "forward": 0.4, "backward": 0.3, "exchange": 0.0, "optimizer": 0.1} | parts
    columns = {name: [share * second for second in seconds] for name, share in shares.items()}
    numbers = list(range(1, len(seconds) + 1))
    return record("steps", stage=stage, epoch=epoch, clock="processor", step=numbers, **columns, seconds=list(seconds))


def tensors(kind: str, count: int, layers: Mapping[str, Mapping[str, float | None]], **values: Any) -> list[Record]:
    """Return records of `count` steps with the same statistics."""
    held = {"mean": 0.0, "std": 0.1, "min": -0.3, "max": 0.3, "share_zero": 0.0, "rms": 0.1}
    about = {"stage": "finetune", "epoch": 1} | values
    filled = {name: held | dict(layer) for name, layer in layers.items()}
    return [record(kind, step=step, **about, layers=filled) for step in range(1, count + 1)]


def machine(folder: Path, columns: Mapping[str, Sequence[float | None]], *, host: str = "algo-1", **about: Any) -> Path:
    """Write a host's measurements, a point every half second, beside the records of a run; return the run's folder."""
    place = folder / "output" / "data"
    place.mkdir(parents=True, exist_ok=True)
    count = max(map(len, columns.values()))
    held = {"cores": 2, "cpu_limit_cores": None, "memory_limit_bytes": 8e9, "gpu_memory_limit_bytes": [16e9]}
    times = [1_700_000_000 + number / 2 for number in range(count)]
    lines = [record("system", host=host, **(held | about), times=times, **columns)]
    (place / f"system-{host}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
