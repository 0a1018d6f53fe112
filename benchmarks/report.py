"""Measures the time to make the report on a huge job, and the time to open the page of a normal job in Chromium.

    python -m benchmarks.report [--part huge,normal] [sizes, which --help lists]

The records are artificial, in the formats of docs/records.md and of SageMaker's profiler. Opening needs chromium and playwright.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import parts
from benchmarks.machine import NotRun
from benchmarks.parts import Figure, Options
from benchmarks.report_records import write_job, write_metrics

BYOC = str(Path(sys.executable).parent / "byoc")
EPOCHS = 100  # epochs of the huge job
# A script that notes when each chart is drawn, in milliseconds after the request for the page.
WATCH = """
window.drawnAt = [];
new MutationObserver((changes) => changes.forEach(() => window.drawnAt.push(performance.now())))
  .observe(document, { subtree: true, attributeFilter: ["data-drawn"] });
"""
LOADED = 'performance.getEntriesByType("navigation")[0].loadEventEnd'
FIRST = 'performance.getEntriesByName("first-contentful-paint")[0].startTime'
DRAWN = "Math.max(0, ...window.drawnAt)"
# Becomes true when all three moments have come: the page is loaded, its first text is shown, a chart is drawn.
READY = f"() => window.drawnAt.length > 0 && performance.getEntriesByName('first-contentful-paint').length > 0 && {LOADED} > 0"


def _huge(options: Options) -> Iterator[Figure]:
    """Make the report on a job of many steps and hosts."""
    with tempfile.TemporaryDirectory(prefix="bench-report-") as name:
        write_job(Path(name), options.steps // EPOCHS, EPOCHS, classes=120)
        write_metrics(Path(name), options.hosts, options.points)
        yield from _made(Path(name), {"s": 20, "GB of memory": 1, "MB page": 8})


def _normal(options: Options) -> Iterator[Figure]:
    """Make the report on a job of 12 epochs with a search, and open its page."""
    with tempfile.TemporaryDirectory(prefix="bench-report-") as name:
        write_job(Path(name), steps=50, epochs=12, classes=26, trials=12)
        write_metrics(Path(name), 2, 600)
        yield from _made(Path(name), {"MB page": 3})
        yield from _opened(Path(name) / "report.html", options.loads)


def _made(folder: Path, limits: dict[str, float]) -> Iterator[Figure]:
    """Make a report in a new process, and yield its time, its memory and the size of the page."""
    begun = time.perf_counter()
    with subprocess.Popen([BYOC, "report", str(folder)], stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - begun
    if process.returncode:
        raise NotRun(f"byoc report ended with {process.returncode}")
    size = (folder / "report.html").stat().st_size / 1e6
    for unit, value in {"s": took, "GB of memory": used.ru_maxrss * 1024 / 1e9, "MB page": size}.items():
        yield Figure(f"read, judged and written, {unit}", value, at_most=limits.get(unit))


def _opened(page: Path, loads: int) -> Iterator[Figure]:
    """Open the page in Chromium several times."""
    chromium = shutil.which("chromium")
    if not chromium or importlib.util.find_spec("playwright") is None:
        raise NotRun("opening the page needs chromium and the package playwright")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    # Seconds from the start of each load to three moments.
    seconds: dict[str, list[float]] = {LOADED: [], FIRST: [], DRAWN: []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for _ in range(loads):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.add_init_script(WATCH)
            tab.goto(page.as_uri())
            tab.wait_for_function(READY, timeout=300_000)
            tab.wait_for_timeout(1000)  # time for drawing the other charts of the first screen
            for moment, found in seconds.items():
                found.append(tab.evaluate(moment) / 1000)
            tab.close()
    yield Figure.of("loaded by Chromium, s", seconds[LOADED], at_most=1)
    yield Figure.of("first text, s", seconds[FIRST], at_most=0.3)
    yield Figure.of("charts of the first screen drawn, s", seconds[DRAWN])


PARTS = {"huge": _huge, "normal": _normal}
OPTIONS = {
    "steps": (1_000_000, "number of steps of the huge job"),
    "hosts": (8, "number of hosts of the huge job"),
    "points": (7_200, "number of points of each host, two a second"),
    "loads": (9, "number of times that the normal page is opened"),
}

if __name__ == "__main__":
    sys.exit(parts.main("report", PARTS, OPTIONS))
