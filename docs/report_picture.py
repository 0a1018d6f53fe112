"""Makes the README's picture of a report: `.venv/bin/python -m docs.report_picture RUN`.

The left half shows the top of the page on the run RUN, the right half its learning curves. The program needs chromium and playwright.
"""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from reports.report import write

PICTURE = Path(__file__).with_name("report.png")
WIDTH, HEIGHT = 760, 1150  # size of each half, in pixels
COLOURS = 128


def main() -> None:
    """Write the report on a run to a temporary folder, and the picture of it to PICTURE."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = write(Path(sys.argv[1]), Path(folder) / "report.html").page
        # Chromium's sandbox refuses to run as root.
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(page.as_uri())
        halves = [_shot(tab, place) for place in ("body", "#section-learning")]
        browser.close()
    whole = Image.new("RGB", (2 * WIDTH, HEIGHT), "white")
    for number, half in enumerate(halves):
        whole.paste(half, (number * WIDTH, 0))
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE} takes {PICTURE.stat().st_size / 1000:.0f} kB")


def _shot(tab: Page, place: str) -> Image.Image:
    """Return a picture of the window, scrolled to a selected element of the page, after its charts are drawn."""
    tab.evaluate("(place) => document.querySelector(place).scrollIntoView()", place)
    tab.wait_for_timeout(1500)
    return Image.open(io.BytesIO(tab.screenshot()))


if __name__ == "__main__":
    main()
