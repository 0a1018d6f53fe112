"""Made-up records for the benchmark of reports: those of our jobs, and system metrics as SageMaker's profiler writes them."""

import json
import math
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def write_job(folder: Path, steps: int, epochs: int, classes: int, trials: int = 0) -> None:
    """Write the records of a job that overfits in its second half, so that the page shows a finding with its chart."""
    chance = random.Random(0)
    names, places = [f"breed {number}" for number in range(classes)], range(classes)
    matrix = [[40 if row == column else int(chance.random() < 0.05) for column in places] for row in places]
    scores = [{"class": names[at], "count": sum(matrix[at]), "recall": 40 / sum(matrix[at])} for at in places]
    count, seconds = sum(map(sum, matrix)), 0.01 * steps * epochs
    share = 40 * classes / count
    interval = [share - 0.01, share + 0.01]
    settings = {"backbone": "timm/tf_efficientnet_lite0", "lr": 0.01, "batch-size": 64, "epochs": epochs}
    records = [
        record("job", classes=names, hyperparameters=settings, photos={"train": 64 * steps}, libraries={}),
        *(_trial(number) for number in range(1, trials + 1)),
        *(_epoch(number, steps, epochs, chance) for number in range(1, epochs + 1)),
        record("result", split="test", stage="head", count=count, accuracy=share, accuracy_interval=interval),
        record("confusion", split="test", matrix=matrix),
        record("classes", split="test", classes=scores),
        record("done", seconds={"features": 60.0, "head": seconds, "total": 70 + seconds}),
    ]
    _write(folder / "output" / "data" / "records.jsonl", ({"time": 1.7e9 + at} | one for at, one in enumerate(records)))


def record(kind: str, **values: object) -> Record:
    """Return a record in the format of docs/records.md, without its time."""
    return {"version": 1, "kind": kind, **values}


def _trial(number: int) -> Record:
    tried = {"lr": 10 ** -(0.75 + number / 4), "batch-size": 64}
    return record("trial", number=number, hyperparameters=tried, validation_accuracy=0.48 + number / 50)


def _epoch(number: int, steps: int, epochs: int, chance: random.Random) -> Record:
    begins, ends = (0.2 + 2 * math.exp(-4 * place / epochs) for place in (number - 1, number))
    losses = [round(begins + (ends - begins) * step / steps + chance.gauss(0, 0.05), 5) for step in range(steps)]
    times = [round(0.01 + chance.expovariate(1000), 6) for _ in range(steps)]
    values = {
        "train_loss": ends,
        "validation_loss": ends + 0.1 + 0.8 * max(0, number / epochs - 0.5),
        "train_accuracy": 1 - ends / 3,
        "validation_accuracy": 0.95 - ends / 3,
        "learning_rate": 0.01,
        "images_per_second": 6400.0,
        "data_wait_share": 0.02,
        "epoch_seconds": sum(times),
        "step_losses": losses,
        "step_seconds": times,
    }
    return record("epoch", stage="head", epoch=number, **values)


def write_metrics(folder: Path, hosts: int, points: int) -> None:
    """Write system metrics of hosts with one GPU and two cores, as SageMaker's profiler does: a file a minute."""
    place = folder / "profiler-output" / "system" / "incremental" / "2026112700"
    for host in range(1, hosts + 1):
        for minute in range(0, points, 120):
            lines = (
                metric | {"NodeId": f"algo-{host}", "Timestamp": 1.7e9 + point / 2}
                for point in range(minute, min(minute + 120, points))
                for metric in _metrics(point)
            )
            _write(place / f"{1_700_000_000 + minute // 2}.algo-{host}.json", lines)


def _metrics(point: int) -> list[Record]:
    values = [
        ("gpu", "gpu0", "GPUUtilization", 85 + point % 13),
        ("gpu", "gpu0", "GPUMemoryUtilization", 40 + point % 7),
        ("cpu", "cpu0", "CPUUtilization", 50 + point % 31),
        ("cpu", "cpu1", "CPUUtilization", 45 + point % 29),
        ("cpu", "cpu0", "I/OWaitPercentage", point % 3),
        ("memory", "MemoryUsedPercent", "", 30 + point / 1000),
        ("network", "ReceiveBytesPerSecond", "Platform", 1000 * (point % 50)),
    ]
    return [dict(zip(("Type", "Name", "Dimension", "Value"), each, strict=True)) for each in values]


def _write(path: Path, records: Iterable[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.writelines(f"{json.dumps(one)}\n" for one in records)
