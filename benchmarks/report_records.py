"""Writes artificial records for the benchmark of reports: those of our jobs, and system metrics in the format of SageMaker's profiler."""

import json
import math
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
# The metrics of a host at one moment: type, name, dimension, lowest value, and range of the value.
METRICS = (
    ("gpu", "gpu0", "GPUUtilization", 85, 13),
    ("gpu", "gpu0", "GPUMemoryUtilization", 40, 7),
    ("cpu", "cpu0", "CPUUtilization", 50, 31),
    ("cpu", "cpu1", "CPUUtilization", 45, 29),
    ("cpu", "cpu0", "I/OWaitPercentage", 0, 3),
    ("memory", "MemoryUsedPercent", "", 30, 8),
    ("network", "ReceiveBytesPerSecond", "Platform", 0, 50_000),
)


def write_job(folder: Path, steps: int, epochs: int, classes: int, trials: int = 0) -> None:
    """Write the records of a job. It overfits in its second half, so that the page shows a finding with its chart."""
    records = enumerate(_job(steps, epochs, classes, trials))
    dated = ({"version": 1, "time": 1.7e9 + number} | record for number, record in records)
    _write(folder / "output" / "data" / "records.jsonl", dated)


def _job(steps: int, epochs: int, classes: int, trials: int) -> Iterator[Record]:
    """Yield records in the format of docs/records.md, without version and time."""
    chance, names = random.Random(0), [f"breed {number}" for number in range(classes)]
    settings = {"backbone": "timm/tf_efficientnet_lite0", "lr": 0.01, "batch-size": 64, "epochs": epochs}
    yield {
        "kind": "job",
        "classes": names,
        "hyperparameters": settings,
        "photos": {"train": 64 * steps},
        "libraries": {},
    }
    for number in range(1, trials + 1):
        tried = {"lr": 10 ** -(0.75 + number / 4), "batch-size": 64}
        yield {"kind": "trial", "number": number, "hyperparameters": tried, "validation_accuracy": 0.48 + number / 50}
    for number in range(1, epochs + 1):
        yield _epoch(number, steps, epochs, chance)
    matrix = [[40 if row == name else int(chance.random() < 0.05) for name in names] for row in names]
    scores = [
        {"class": name, "count": sum(row), "recall": 40 / sum(row)} for name, row in zip(names, matrix, strict=True)
    ]
    count = sum(map(sum, matrix))
    share, split = 40 * classes / count, {"split": "test", "stage": "head", "count": count}
    yield {"kind": "result", **split, "accuracy": share, "accuracy_interval": [share - 0.01, share + 0.01]}
    yield {"kind": "confusion", "split": "test", "matrix": matrix}
    yield {"kind": "classes", "split": "test", "classes": scores}
    head = 0.01 * steps * epochs
    yield {"kind": "done", "seconds": {"features": 60.0, "head": head, "total": 70 + head}}


def _epoch(number: int, steps: int, epochs: int, chance: random.Random) -> Record:
    begins, ends = (0.2 + 2 * math.exp(-4 * place / epochs) for place in (number - 1, number))
    times = [round(0.01 + chance.expovariate(1000), 6) for _ in range(steps)]
    losses = [round(begins + (ends - begins) * step / steps + chance.gauss(0, 0.05), 5) for step in range(steps)]
    course = {"train_loss": ends, "validation_loss": ends + 0.1 + 0.8 * max(0, number / epochs - 0.5)}
    course |= {"train_accuracy": 1 - ends / 3, "validation_accuracy": 0.95 - ends / 3, "learning_rate": 0.01}
    speed = {"images_per_second": 6400.0, "data_wait_share": 0.02, "epoch_seconds": sum(times)}
    every = {"step_losses": losses, "step_seconds": times}
    return {"kind": "epoch", "stage": "head", "epoch": number, **course, **speed, **every}


def write_metrics(folder: Path, hosts: int, points: int) -> None:
    """Write system metrics of hosts with one GPU and two cores. Like SageMaker's profiler, write one file a minute."""
    place = folder / "profiler-output" / "system" / "incremental" / "2026112700"
    for host in range(1, hosts + 1):
        for minute in range(0, points, 120):
            lines = (
                {"Type": kind, "Name": name, "Dimension": dimension, "Value": least + point * 7 % varies}
                | {"NodeId": f"algo-{host}", "Timestamp": 1.7e9 + point / 2}
                for point in range(minute, min(minute + 120, points))
                for kind, name, dimension, least, varies in METRICS
            )
            _write(place / f"{1_700_000_000 + minute // 2}.algo-{host}.json", lines)


def _write(path: Path, records: Iterable[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.writelines(f"{json.dumps(one)}\n" for one in records)
