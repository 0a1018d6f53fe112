"""Debian's Chromium, driven by Playwright, on a page that holds every section."""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reports.report import write
from tests.reports.made import course, done, job, judged, metrics, record, trace
from tests.reports.made import write as write_records
from tests.reports.photo_records import some

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM or importlib.util.find_spec("playwright") is None,
    reason="needs chromium (apt-get install chromium) and the packages of make dev",
)
PHONE, DESKTOP = (360, 740), (1280, 900)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser of the distribution, because Playwright's package contains none."""
    from playwright.sync_api import sync_playwright

    # The browser's sandbox refuses to run as root.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One visit of a page, with the browser's error messages and its requests.

    Trap: give wait_for_function a function, as in `() => document.title`. Playwright would evaluate an expression again at
    each look, and the policy of our pages forbids that after the first look.
    """

    def __init__(
        self, browser: Any, page: Path | str, size: tuple[int, int], scheme: str = "light", before: str = ""
    ) -> None:
        """Open a page. `before` is a script that runs before those of the page."""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        width, height = size
        self.page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page.set_default_timeout(300_000)  # a busy machine may need over a minute for one step
        # A violation of the policy is an error on the console too.
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.add_init_script(before)
        self.page.goto(page if isinstance(page, str) else page.as_uri())

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def scroll_to(self, place: Any) -> None:
        """Scroll to an element or a locator."""
        # Trap: scroll_into_view_if_needed waits until nothing moves. On a busy machine that took over a minute.
        place.evaluate("(place) => place.scrollIntoView({block: 'center', behavior: 'instant'})")

    def draw_all(self) -> list[str]:
        """Scroll to each chart, wait until it is drawn, and return the names of all charts."""
        names = []
        for place in self.page.query_selector_all("div.chart:not([hidden])"):
            self.scroll_to(place)
            self.page.wait_for_function("(place) => place.dataset.drawn", arg=place)
            names.append(place.get_attribute("data-chart"))
        return names

    def texts(self, selector: str) -> list[str]:
        return [element.text_content() or "" for element in self.page.query_selector_all(selector)]


def full_page(folder: Path, classes: tuple[str, ...] | None = None, *, photos: bool = False) -> Path:
    """Write a report that has every section and every kind of chart, and findings; return the page.

    With `photos` it has photos of the second class and the first.
    """
    names = classes or tuple(f"breed {number}" for number in range(26))
    count = len(names)
    matrix = [
        [20 if row == column else int((row + 2 * column) % 9 == 0) for column in range(count)] for row in range(count)
    ]
    matrix[1] = [18] + [2] + [0] * (count - 2)
    head = [2.0 * 0.8**number for number in range(8)]
    validation = [loss + 0.1 for loss in head[:5]] + [1.2, 1.3, 1.4]
    tuned = [0.4, 0.3, 0.25, 0.2]
    records = [
        job(classes=names, notes=["10 % of train became validation."]),
        *[
            record(
                "trial",
                number=number,
                hyperparameters={"lr": 10 ** (-1 - number / 4), "batch-size": 2 ** (4 + number % 4)},
                validation_accuracy=0.5 + 0.03 * number if number != 4 else None,
                validation_loss=1.0,
                seconds=3.0,
                **({"reason": "the loss is not a number"} if number == 4 else {}),
            )
            for number in range(1, 13)
        ],
        *course(head, validation),
        *course(tuned, tuned, stage="finetune", data_wait_share=0.7, epoch_seconds=30.0),
        *judged("validation", matrix, names),
        *judged("test", matrix, names),
        *(some((names[1], names[0])) if photos else ()),
        done(model=3.0, features=40.0, head=16.0, finetune=120.0, total=190.0),
    ]
    write_records(folder, records)
    gpu = [0 if place % 4 else 97 for place in range(600)]
    for node in ("algo-1", "algo-2"):
        metrics(folder, gpu, [95 if place % 4 else 30 for place in range(600)], node=node)
    trace(folder, [0.1] * 200 + [3.0] * 4)
    verdict = {"RuleTriggered": 3, "Violations": 3, "Details": {}, "Datapoints": 600, "RuleParameters": "window:500"}
    (folder / "profiler-output" / "LowGPUUtilization.json").write_text(json.dumps(verdict))
    return write(folder).page
