"""What a report takes: a huge job read, judged and written, and the page of a normal run opened in Chromium.

    python -m benchmarks.report [--steps N] [--hosts N] [--points N] [--loads N]

The records are made up, in the formats of docs/records.md and of SageMaker's profiler. Opening needs chromium and playwright.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.emulator_process import Figure
from benchmarks.machine import describe, summary, write_results
from benchmarks.report_records import write_job, write_metrics

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


if __name__ == "__main__":
    sys.exit(main())
