"""What a report takes: a huge job read, judged and written, and the page of a normal run opened in Chromium.

    python -m benchmarks.report [--steps N] [--hosts N] [--points N] [--loads N]

The records are made up, in the formats of docs/records.md and of SageMaker's profiler. Opening needs chromium and playwright.
"""

import argparse
import importlib.util
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.emulator_process import Figure
from benchmarks.machine import describe, summary, write_results

BYOC = str(Path(sys.executable).parent / "byoc")
EPOCHS = 100  # of the huge job
# Notes when each chart of the page is drawn, in milliseconds after the page was asked for.
WATCH = """
window.drawnAt = [];
new MutationObserver((changes) => changes.forEach(() => window.drawnAt.push(performance.now())))
  .observe(document, { subtree: true, attributeFilter: ["data-drawn"] });
"""
SEEN = """() => [
  performance.getEntriesByType("navigation")[0].loadEventEnd,
  performance.getEntriesByName("first-contentful-paint")[0].startTime,
  Math.max(0, ...window.drawnAt),
]"""


def main() -> int:
    """Measure, print the figures and write results/report.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Measure byoc report.")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the huge job (default: %(default)s)")
    parser.add_argument("--hosts", type=int, default=8, help="of the huge job (default: %(default)s)")
    parser.add_argument("--points", type=int, default=7_200, help="of each host, two a second (default: %(default)s)")
    parser.add_argument("--loads", type=int, default=9, help="of the normal page; medians (default: %(default)s)")
    options = parser.parse_args()
    machine = describe()
    print(f"{summary(machine)}\n")
    with tempfile.TemporaryDirectory(prefix="bench-report-") as name:
        huge, normal = Path(name) / "huge", Path(name) / "normal"
        write_job(huge, options.steps // EPOCHS, EPOCHS, classes=120)
        write_metrics(huge, options.hosts, options.points)
        write_job(normal, steps=50, epochs=12, classes=26, trials=12)
        write_metrics(normal, 2, 600)
        figures = [*_made(huge, "huge job", (20, 1, 8)), *_made(normal, "normal job", (None, None, 3))]
        figures += _opened(normal / "report.html", options.loads)
    print("\n".join(map(str, figures)))
    write_results("report", {"machine": machine, "options": vars(options), "figures": [asdict(one) for one in figures]})
    return 0


def _made(folder: Path, name: str, targets: tuple[float | None, float | None, float | None]) -> list[Figure]:
    """Make a report in a process of its own."""
    begun = time.perf_counter()
    with subprocess.Popen([BYOC, "report", str(folder)], stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - begun
    if process.returncode:
        raise RuntimeError(f"byoc report ended with {process.returncode}")
    size = (folder / "report.html").stat().st_size / 1e6
    values = ((took, "s"), (used.ru_maxrss * 1024 / 1e9, "GB of memory"), (size, "MB page"))
    return [Figure(name, value, unit, target) for (value, unit), target in zip(values, targets, strict=True)]


def _opened(page: Path, loads: int) -> list[Figure]:
    chromium = shutil.which("chromium")
    if not chromium or importlib.util.find_spec("playwright") is None:
        print("opening the page was not run: it needs chromium and the package playwright")
        return []
    from playwright.sync_api import sync_playwright

    found: list[list[float]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        for _ in range(loads):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.add_init_script(WATCH)
            tab.goto(page.as_uri())
            tab.wait_for_timeout(1000)  # until the charts of the first screen are drawn
            found.append(tab.evaluate(SEEN))
            tab.close()
        browser.close()
    load, text, drawn = (median(values) / 1000 for values in zip(*found, strict=True))
    return [
        Figure("normal page, loaded by Chromium, median", load, "s", 1),
        Figure("normal page, first text, median", text, "s", 0.3),
        Figure("normal page, charts of the first screen drawn, median", drawn, "s"),
    ]


def write_job(folder: Path, steps: int, epochs: int, classes: int, trials: int = 0) -> None:
    """Write the records of a job that went well."""
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
        "validation_loss": ends + 0.1,
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


if __name__ == "__main__":
    sys.exit(main())
