"""The page that is followed, in a browser: it is renewed while somebody reads it, and the reader's actions are not undone."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from reports.live.server import LivePage, serving
from reports.page.document import Report
from reports.report import compose, make, save
from reports.rules.verdict import Evidence
from reports.sources.endpoint import Event
from reports.sources.endpoint_samples import sampled_endpoint
from serve.metrics import Metrics
from tests.reports.browsing import DESKTOP, PHONE, Visit, full_page, needs_chromium
from tests.reports.endpoints import SAID, asked, on_cloudwatch, sample

pytestmark = needs_chromium
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])

CLASSES = "#section-result > .scroll table.sortable"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report with every section."""
    return make(full_page(tmp_path_factory.mktemp("run")).parent)


def endpoint_report(requests: int) -> Report:
    """Return the report on a server that received requests between each two of its samples."""
    metrics, samples = Metrics(lambda: (2, 0)), []
    for number in range(requests):
        asked(metrics, [(200, 0.02)] * (1 + number % 3) + ([(503, 0.1)] if number % 5 == 4 else []))
        samples.append(sample(metrics, 1_700_000_000.0 + 2 * number))
    endpoint = sampled_endpoint("http://127.0.0.1:8080", samples)
    return compose(Evidence(run=None, profile=None, endpoint=endpoint), name="server", source=endpoint.source)


def waits_for(visit: Visit, text: str) -> None:
    visit.page.wait_for_function("(text) => document.body.textContent.includes(text)", arg=text)


def renewed(visit: Visit, page: LivePage, report: Report, headline: str) -> None:
    """Renew the page and wait until the browser shows the new page."""
    page.renew(dataclasses.replace(report, headline=headline), f"now {headline}")
    waits_for(visit, headline)
    waits_for(visit, f"now {headline}")


@pytest.mark.slow
def test_what_is_open_sorted_scrolled_and_drawn_stays_so_when_the_page_is_renewed(browser: Any, report: Report) -> None:
    page = LivePage(report)
    with serving(page) as url:
        visit = Visit(browser, url, DESKTOP)
        renewed(visit, page, report, "First news.")
        visit.page.click("#loss summary")
        visit.page.click(f"{CLASSES} th:nth-child(1) button")
        visit.draw_all()
        visit.scroll_to(visit.page.locator("#loss"))
        visit.page.evaluate("document.querySelector('#loss summary').focus({preventScroll: true})")
        place = "document.querySelector('#loss').getBoundingClientRect().top"
        top, charts = visit.page.evaluate(place), "document.querySelectorAll('div.chart[data-drawn]').length"
        drawn, listed = visit.page.evaluate(charts), visit.texts(f"{CLASSES} tbody tr:first-child")
        # One more finding above the visible part would push that part down.
        quiet = next(one for one in report.judged if one.ours.state == "quiet")
        found = dataclasses.replace(quiet.ours, state="triggered", advice="Change it.", loss=1.0, episodes=1)
        others = [one for one in report.judged if one is not quiet]
        longer = dataclasses.replace(report, judged=(dataclasses.replace(quiet, ours=found), *others))
        renewed(visit, page, longer, "Second news.")
        assert abs(visit.page.evaluate(place) - top) < 2, "the visible part has moved"
        assert visit.page.evaluate("document.querySelector('#loss details').open")
        assert visit.page.evaluate("document.activeElement.textContent") == "Table: Loss by epoch"
        assert visit.texts(f"{CLASSES} tbody tr:first-child") == listed
        assert visit.page.evaluate(charts) >= drawn
        assert visit.complaints == []
        assert {address for address in visit.requests if not address.startswith("data:")} == {url}


def test_a_chart_whose_numbers_change_is_drawn_anew_in_its_place(browser: Any) -> None:
    page = LivePage(endpoint_report(5))
    with serving(page) as url:
        visit = Visit(browser, url, DESKTOP)
        renewed(visit, page, endpoint_report(5), "First news.")
        visit.draw_all()
        labels = "Array.from(document.querySelectorAll('[data-chart=endpoint-0-traffic] text')).map((one) => one.textContent)"
        before = visit.page.evaluate(labels)
        renewed(visit, page, endpoint_report(40), "More requests.")
        visit.page.wait_for_function(f"(before) => {labels}.join() !== before.join()", arg=before)
        assert visit.page.evaluate("drawn.size === document.querySelectorAll('div.chart[data-drawn]').length")
        assert visit.complaints == []


@pytest.mark.slow
def test_the_keyboards_place_in_a_chart_is_kept_when_the_page_is_renewed(browser: Any, report: Report) -> None:
    page = LivePage(report)
    with serving(page) as url:
        visit = Visit(browser, url, DESKTOP)
        visit.page.focus('figure div.chart[data-chart="matrix"]')
        for key in ("ArrowRight", "ArrowDown"):
            visit.page.keyboard.press(key)
        told = visit.page.text_content("#said")
        assert told.startswith("true class breed 1\npredicted breed 0")
        renewed(visit, page, report, "another page")
        assert visit.page.evaluate("document.activeElement.dataset.chart") == "matrix"
        visit.page.keyboard.press("ArrowUp")
        assert visit.page.text_content("#said").startswith("true class breed 0\npredicted breed 0")
        assert visit.complaints == []


def test_a_program_that_ended_and_serves_the_page_again_is_asked_again(browser: Any, report: Report) -> None:
    page = LivePage(report)
    with serving(page) as url:
        visit = Visit(browser, url, DESKTOP)
        renewed(visit, page, report, "first")
    waits_for(visit, "no longer answers")
    page.renew(dataclasses.replace(report, headline="second"), "again")
    with serving(page, int(url.rstrip("/").rpartition(":")[2])):
        waits_for(visit, "second")


def test_the_page_stays_and_reports_that_the_program_has_ended(browser: Any) -> None:
    with serving(LivePage(endpoint_report(5))) as url:
        visit = Visit(browser, url, DESKTOP)
        visit.page.wait_for_timeout(1500)
    waits_for(visit, "no longer answers")
    assert visit.texts("h1") == ["Report on server"]


@SIZES
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_section_of_an_endpoint_is_drawn_everywhere_and_fits(
    browser: Any, size: tuple[int, int], scheme: str, tmp_path: Path
) -> None:
    event = Event(time=1_700_000_070.0, text="<b>AllTraffic</b>: Setting desired instance count to 3.")
    found = on_cloudwatch(SAID, event)
    report = compose(Evidence(run=None, profile=None, endpoint=found), name="dogs", source="CloudWatch")
    visit = Visit(browser, save(report, tmp_path / "report.html").page, size, scheme)
    assert set(visit.draw_all()) >= {"endpoint-0-traffic", "endpoint-0-p50", "endpoint-0-p99", "endpoint-0-cpu"}
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert "<b>AllTraffic</b>: Setting" in " ".join(visit.texts("#section-endpoint td"))
    assert visit.complaints == []


@pytest.mark.slow
@SIZES
def test_axe_finds_nothing_serious_in_a_followed_endpoint(browser: Any, size: tuple[int, int]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    report = endpoint_report(30)
    page = LivePage(report)
    with serving(page) as url:
        visit = Visit(browser, url, size)
        renewed(visit, page, report, "The news.")
        visit.draw_all()
        found = Axe().run(visit.page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
