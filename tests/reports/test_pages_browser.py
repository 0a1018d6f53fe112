"""Pages of other kinds in a browser: two runs side by side, a SageMaker job with an endpoint, and pages with impossible names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.comparison import write_comparison
from reports.report import compose, read, save
from reports.sagemaker_job import SageMakerJob, TuningTrial
from tests.reports.browsing import DESKTOP, PHONE, Visit, full_page, needs_chromium
from tests.reports.endpoints import SAID, on_cloudwatch
from tests.reports.trying import named, trying

pytestmark = needs_chromium
BAD = ('<img src=x onerror="alert(1)">', "</script><script>alert(2)</script>", "a" * 300)
EVERYWHERE = pytest.mark.parametrize("scheme", ["light", "dark"])
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose classes have names that are markup, with photos."""
    folder = tmp_path_factory.mktemp("run")
    full_page(folder, BAD, photos=True)
    return folder


@pytest.fixture(scope="module")
def compared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    other = tmp_path_factory.mktemp("<b>other")
    full_page(other)
    return write_comparison(folder, other).page


@pytest.fixture(scope="module")
def job(folder: Path) -> Path:
    """The page of a SageMaker tuning job, its best run and an endpoint. All texts that come from outside are markup."""
    evidence, missing = read(folder)
    trial = TuningTrial(
        name=BAD[0], status="Failed", hyperparameters={BAD[1]: BAD[0]}, value=None, seconds=5, reason=BAD[1]
    )
    described = SageMakerJob(
        name=BAD[0],
        kind="tuning job",
        status="Failed",
        reason=BAD[1],
        ended=True,
        facts=(("Instances", BAD[0]),),
        hyperparameters={BAD[0]: BAD[2]},
        phases=(("Downloading", 5.0),),
        objective=BAD[0],
        trials=(trial, replace(trial, value=0.5)),
    )
    whole = replace(evidence, job=described, endpoint=on_cloudwatch(SAID))
    return save(compose(whole, name=BAD[0], source=BAD[1], missing=(*missing, BAD[0])), folder / "job.html").page


@pytest.mark.slow
@SIZES
@EVERYWHERE
@pytest.mark.parametrize("kind", ["compared", "job"])
def test_pages_of_every_kind_are_drawn_without_a_complaint_and_without_a_serious_finding(
    browser: Any, request: pytest.FixtureRequest, kind: str, size: tuple[int, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    visit = Visit(browser, request.getfixturevalue(kind), size, scheme)
    assert visit.draw_all() != []
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for details in visit.page.query_selector_all("details"):
        details.evaluate("element => element.open = true")
    found = Axe().run(visit.page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
    assert visit.complaints == [] and [url for url in visit.requests if not url.startswith(("file:", "data:"))] == []
    markup = "main img:not([src^='data:image/jpeg;base64,']), main script, header img, header b, main b"
    assert visit.page.query_selector_all(markup) == []


def test_a_name_of_300_letters_leaves_the_other_columns_of_a_table_in_sight(browser: Any, folder: Path) -> None:
    visit = Visit(browser, folder / "report.html", DESKTOP)
    widths = visit.page.evaluate("Array.from(document.querySelectorAll('table')).map((table) => table.offsetWidth)")
    assert max(widths) < 2 * DESKTOP[0]
    (number,) = visit.page.query_selector_all("tr:has(td:text-is('" + BAD[2] + "')) td:nth-child(2) >> nth=0")
    assert number.bounding_box()["x"] < DESKTOP[0]


@SIZES
def test_a_class_of_300_letters_stays_within_the_window_of_the_try_page(
    browser: Any, tmp_path: Path, folder: Path, size: tuple[int, int]
) -> None:
    with trying(named(BAD[2], "cat"), tmp_path, keep=tmp_path / "kept") as page:
        visit = Visit(browser, page.url, size)
        visit.page.set_input_files("#choose", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"})
        visit.page.wait_for_selector(".answered")
        assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        for place in visit.page.query_selector_all(".label, .actions button"):
            box = place.bounding_box()
            assert box["width"] > 60 and box["x"] + box["width"] <= size[0]
