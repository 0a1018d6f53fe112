"""Records of made-up jobs, for the benchmark of reports: ours, and system metrics of SageMaker's profiler."""

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_job(folder: Path, steps: int, epochs: int, classes: int, trials: int = 0) -> None:
    """Write the records of a job that overfits in its second half, so that the page shows a finding with its chart."""
    chance = random.Random(0)
    names = [f"breed {number}" for number in range(classes)]
    matrix = [
        [40 if row == column else int(chance.random() < 0.05) for column in range(classes)] for row in range(classes)
    ]
    count, right = sum(map(sum, matrix)), sum(matrix[place][place] for place in range(classes))
    scores = [
        {"class": name, "count": sum(row), "recall": row[at] / sum(row)}
        for at, (name, row) in enumerate(zip(names, matrix, strict=True))
    ]
    settings = {"backbone": "timm/tf_efficientnet_lite0", "lr": 0.01, "batch-size": 64, "epochs": epochs}
    share = right / count
    records: list[dict[str, Any]] = [
        {
            "kind": "job",
            "classes": names,
            "hyperparameters": settings,
            "photos": {"train": 64 * steps},
            "libraries": {},
        },
        *(
            {
                "kind": "trial",
                "number": at + 1,
                "hyperparameters": {"lr": 10 ** -(1 + at / 4), "batch-size": 64},
                "validation_accuracy": 0.5 + at / 50,
            }
            for at in range(trials)
        ),
        *(_epoch(number, steps, epochs, chance) for number in range(1, epochs + 1)),
        {
            "kind": "result",
            "split": "test",
            "stage": "head",
            "count": count,
            "accuracy": share,
            "accuracy_interval": [share - 0.01, share + 0.01],
        },
        {"kind": "confusion", "split": "test", "matrix": matrix},
        {"kind": "classes", "split": "test", "classes": scores},
        {
            "kind": "done",
            "seconds": {"features": 60.0, "head": 0.01 * steps * epochs, "total": 70 + 0.01 * steps * epochs},
        },
    ]
    path = folder / "output" / "data" / "records.jsonl"
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        for number, record in enumerate(records):
            file.write(json.dumps({"version": 1, "time": 1.7e9 + number, **record}) + "\n")


def _epoch(number: int, steps: int, epochs: int, chance: random.Random) -> dict[str, Any]:
    begins, ends = (0.2 + 2 * math.exp(-4 * place / epochs) for place in (number - 1, number))
    losses = [round(begins + (ends - begins) * step / steps + chance.gauss(0, 0.05), 5) for step in range(steps)]
    values = {
        "train_loss": ends,
        "validation_loss": ends + 0.1 + 0.8 * max(0, number / epochs - 0.5),
        "train_accuracy": 1 - ends / 3,
        "validation_accuracy": 0.95 - ends / 3,
    }
    times = [round(0.01 + chance.expovariate(1000), 6) for _ in range(steps)]
    more = {"learning_rate": 0.01, "images_per_second": 6400.0, "data_wait_share": 0.02}
    return {
        "kind": "epoch",
        "stage": "head",
        "epoch": number,
        "epoch_seconds": sum(times),
        "step_losses": losses,
        "step_seconds": times,
        **values,
        **more,
    }


def write_metrics(folder: Path, hosts: int, points: int) -> None:
    """Write system metrics of hosts with one GPU and two cores, as SageMaker's profiler does: a file a minute."""
    for host in range(1, hosts + 1):
        for minute in range(0, points, 120):
            path = (
                folder
                / "profiler-output"
                / "system"
                / "incremental"
                / "2026112700"
                / f"{1_700_000_000 + minute // 2}.algo-{host}.json"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                "\n".join(map(json.dumps, _metrics(f"algo-{host}", minute, min(minute + 120, points)))) + "\n"
            )


def _metrics(node: str, begin: int, end: int) -> Iterator[dict[str, Any]]:
    for point in range(begin, end):
        values = {
            ("gpu", "gpu0", "GPUUtilization"): 85 + point % 13,
            ("gpu", "gpu0", "GPUMemoryUtilization"): 40 + point % 7,
            ("cpu", "cpu0", "CPUUtilization"): 50 + point % 31,
            ("cpu", "cpu1", "CPUUtilization"): 45 + point % 29,
            ("cpu", "cpu0", "I/OWaitPercentage"): point % 3,
            ("memory", "MemoryUsedPercent", ""): 30 + point / 1000,
            ("network", "ReceiveBytesPerSecond", "Platform"): 1000 * (point % 50),
        }
        for (kind, name, dimension), value in values.items():
            yield {
                "Type": kind,
                "Name": name,
                "Dimension": dimension,
                "Value": value,
                "NodeId": node,
                "Timestamp": 1.7e9 + point / 2,
            }
