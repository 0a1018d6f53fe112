"""Synthetic records for the tests, in the formats of docs/records.md and of SageMaker's profiler."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from reports.report import read
from reports.rules.table import RULES
from reports.rules.thresholds import OURS, Thresholds
from reports.rules.verdict import Evidence, Verdict

CLASSES = ("beagle", "pug", "whippet")
Record = dict[str, Any]


def record(kind: str, **values: Any) -> Record:
    return {"kind": kind, "version": 1, "time": 1_700_000_000.0, **values}


def job(**values: Any) -> Record:
    hyperparameters = {"backbone": "timm/tf_efficientnet_lite0", "lr": 0.01, "batch-size": 64, "epochs": 10}
    held = {
        "program": "0.1.0",
        "libraries": {"torch": "2.13.0"},
        "hyperparameters": hyperparameters | {"finetune-lr": 0.0001, "finetune-epochs": 0},
        "classes": CLASSES,
        "photos": {"train": 300, "validation": 60, "test": 60},
        "notes": [],
        "processes": 1,
    }
    return record("job", **(held | values))


def epoch(number: int, train: float, validation: float, **values: Any) -> Record:
    held = {
        "stage": "head",
        "train_loss": train,
        "train_accuracy": max(0.0, 1 - train),
        "validation_loss": validation,
        "validation_accuracy": max(0.0, 1 - validation),
        "validation_macro_f1": 0.5,
        "images_per_second": 500.0,
        "learning_rate": 0.01,
        "epoch_seconds": 2.0,
        "data_wait_share": 0.05,
        "step_losses": [train] * 10,
        "step_seconds": [0.2] * 10,
    }
    return record("epoch", epoch=number, **(held | values))


def course(train: Sequence[float], validation: Sequence[float], **values: Any) -> list[Record]:
    """Return an epoch for each pair of losses. The losses of its steps go linearly from its training loss to that of the next epoch."""
    found = []
    for number, (one, other) in enumerate(zip(train, validation, strict=True), 1):
        following = train[min(number, len(train) - 1)]
        steps = [one + (following - one) * step / 10 for step in range(10)]
        found.append(epoch(number, one, other, **({"step_losses": steps} | values)))
    return found


def judged(split: str, matrix: Sequence[Sequence[int]], classes: Sequence[str] = CLASSES) -> list[Record]:
    """Return the three records on a split."""
    count = sum(map(sum, matrix))
    right = sum(row[place] for place, row in enumerate(matrix))
    scores = [
        {
            "class": name,
            "count": sum(row),
            "precision": None,
            "recall": row[place] / sum(row) if sum(row) else None,
            "f1": None,
        }
        for place, (name, row) in enumerate(zip(classes, matrix, strict=True))
    ]
    share = right / count if count else 0.0
    values = {
        "stage": "head",
        "best_epoch": 3,
        "loss": 0.3,
        "top5": 1.0,
        "macro_f1": 0.8,
        "ece": 0.02,
        "temperature": 1.1,
        "calibration": {
            "count": [0] * 13 + [count // 4, count - count // 4],
            "hits": [0] * 13 + [min(right, count // 5), min(right, count // 2)],
            "confidence": [None] * 13 + [0.89, 0.97],
        },
    }
    return [
        record(
            "result", split=split, count=count, accuracy=share, accuracy_interval=[share - 0.05, share + 0.05], **values
        ),
        record("confusion", split=split, matrix=matrix),
        record("classes", split=split, classes=scores),
    ]


def done(**seconds: float) -> Record:
    return record("done", seconds=seconds or {"features": 6.0, "head": 3.0, "total": 10.0}, peak_memory_bytes=8e8)


def healthy() -> list[Record]:
    """Return the records of a run in which no rule finds anything."""
    falling = [2.0, 1.0, 0.6, 0.4, 0.3, 0.25, 0.22, 0.2, 0.18, 0.16]
    validation = [loss + 0.1 for loss in falling]
    matrix = [[38, 1, 1], [1, 38, 1], [1, 0, 39]]
    return [job(), *course(falling, validation), *judged("validation", matrix), *judged("test", matrix), done()]


def write(folder: Path, records: Iterable[Record], name: str = "records.jsonl") -> Path:
    """Write records as training does, and return the folder."""
    path = folder / "output" / "data" / name
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return folder


def verdict(rule: str, folder: Path, limits: Thresholds = OURS) -> Verdict:
    """Return a rule's verdict on the records in a folder."""
    found = judge_one(rule, read(folder)[0], limits)
    assert found is not None
    return found


def judge_one(rule: str, evidence: Evidence, limits: Thresholds) -> Verdict | None:
    return next(one for one in RULES if one.name == rule).judge(evidence, limits)


def metric(kind: str, name: str, dimension: str, value: float, time: float, node: str = "algo-1") -> Record:
    return {"Type": kind, "Name": name, "Dimension": dimension, "Value": value, "NodeId": node, "Timestamp": time}


def metrics(folder: Path, gpu: Sequence[float], cpu: Sequence[float], *, node: str = "algo-1", io: float = 1.0) -> Path:
    """Write a host's system metrics, one GPU and two cores, a point every half second, and return the folder."""
    path = folder / "profiler-output" / "system" / "incremental" / "2023111422" / f"1700000000.{node}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    points = []
    for place, (one, other) in enumerate(zip(gpu, cpu, strict=True)):
        time = 1_700_000_000 + place / 2
        points += [
            metric("gpu", "gpu0", "GPUUtilization", one, time, node),
            metric("gpu", "gpu0", "GPUMemoryUtilization", one / 2, time, node),
            metric("cpu", "cpu0", "CPUUtilization", other, time + 0.0001, node),
            metric("cpu", "cpu1", "CPUUtilization", 5.0, time + 0.0001, node),
            metric("cpu", "cpu0", "I/OWaitPercentage", io, time + 0.0001, node),
            metric("memory", "MemoryUsedPercent", "", 30.0, time, node),
            metric("network", "ReceiveBytesPerSecond", "Algorithm", 7.0, time, node),
            metric("network", "ReceiveBytesPerSecond", "Platform", 1e6, time, node),
        ]
    path.write_text("".join(json.dumps(point) + "\n" for point in points))
    return folder


def trace(folder: Path, seconds: Sequence[float], *, start: float = 1_700_000_010.0, node: str = "algo-1") -> Path:
    """Write a Python timeline with training steps that follow each other, and return the folder."""
    path = (
        folder
        / "profiler-output"
        / "framework"
        / "pevents"
        / "2023111422"
        / f"1700000099000000_7-{node}_pythontimeline.json"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    events: list[Record] = [
        {"name": "process_name", "ph": "M", "pid": 0, "args": {"start_time_since_epoch_in_micros": int(start * 1e6)}}
    ]
    moment = 0.0
    for number, lasts in enumerate(seconds):
        events.append(
            {
                "name": "Step:ModeKeys.TRAIN",
                "pid": 1,
                "ph": "X",
                "ts": int(moment * 1e6),
                "dur": int(lasts * 1e6),
                "args": {"pid": 7, "step_num": str(number)},
            }
        )
        moment += lasts
    path.write_text("[\n" + ",\n".join(map(json.dumps, events)) + "\n]\n")
    return folder
