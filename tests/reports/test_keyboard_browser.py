"""Everything that a mouse does in the page's charts works by keyboard too, and screen readers announce what is shown."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reports.browsing import DESKTOP, Visit, full_page, needs_chromium

pytestmark = needs_chromium
KEPT = """(place) => drawn.get(place).getModel().queryComponents({ mainType: "parallelAxis" })
  .map((axis) => axis.activeIntervals.length)"""

# A busy browser tells the page only after some keys that a chart is in sight. Here it tells the page when `tell` is called.
LATE = """
window.untold = [];
window.tell = () => tellLate(untold.splice(0));
window.IntersectionObserver = class extends IntersectionObserver {
  constructor(told, options) {
    super((entries) => untold.push(...entries), options);
    window.tellLate = told;
  }
};
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full_page(tmp_path_factory.mktemp("run"), photos=True)


@pytest.fixture
def visit(browser: Any, page: Path) -> Iterator[Visit]:
    visit = Visit(browser, page, DESKTOP)
    yield visit
    assert visit.complaints == []


def focused(visit: Visit, name: str) -> Any:
    """Give a chart of a section the focus, as the Tab key does."""
    place = visit.page.query_selector(f'figure div.chart[data-chart="{name}"]')
    place.focus()
    return place


def pressed(visit: Visit, *keys: str) -> list[str]:
    """Press keys, and return the lines that screen readers announce after the last key."""
    for key in keys:
        visit.page.keyboard.press(key)
    return str(visit.page.text_content("#said")).split("\n")


def test_arrows_walk_through_the_cells_of_the_matrix_that_are_not_empty(visit: Visit) -> None:
    place = focused(visit, "matrix")
    assert pressed(visit, "ArrowRight") == ["true class breed 0", "predicted breed 0", "20"]
    assert pressed(visit, "ArrowRight") == ["true class breed 0", "predicted breed 9", "1"]
    assert pressed(visit, "ArrowDown") == ["true class breed 9", "predicted breed 9", "20"]
    assert pressed(visit, "ArrowUp", "ArrowLeft", "ArrowLeft") == ["true class breed 0", "predicted breed 0", "20"]
    pressed(visit, "Escape")
    assert place.get_attribute("data-at") is None


def test_enter_on_a_cell_leads_to_its_photos_again_and_again(visit: Visit) -> None:
    focused(visit, "matrix")
    told = pressed(visit, "ArrowRight", "ArrowDown")
    assert told == ["true class breed 1", "predicted breed 0", "18", "Enter or a click leads to its photos"]
    for _ in range(2):
        focused(visit, "matrix")
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("location.hash") == "#pair-1-0"
        assert 0 <= visit.page.query_selector("li:target").bounding_box()["y"] < DESKTOP[1]
        visit.page.evaluate("scrollTo(0, 0)")


def test_arrows_walk_through_trials_and_enter_keeps_those_that_are_as_good(visit: Visit) -> None:
    place = focused(visit, "trials")
    assert pressed(visit, "ArrowRight")[0] == "trial 12"
    assert pressed(visit, "ArrowDown") == ["trial 11", "lr: 1.78e-4", "batch-size: 128", "validation accuracy, %: 83"]
    pressed(visit, "Enter")
    assert visit.page.evaluate(KEPT, place) == [0, 0, 1]
    pressed(visit, "Escape")
    assert visit.page.evaluate(KEPT, place) == [0, 0, 0]


def test_a_chart_that_a_key_has_drawn_is_not_drawn_again_when_the_browser_reports_that_it_is_in_sight(
    browser: Any, page: Path
) -> None:
    visit = Visit(browser, page, DESKTOP, before=LATE)
    place = focused(visit, "trials")
    visit.page.wait_for_function(
        "(place) => untold.some((one) => one.isIntersecting && one.target === place)", arg=place
    )
    pressed(visit, "ArrowRight", "ArrowDown", "Enter")
    assert visit.page.evaluate(KEPT, place) == [0, 0, 1]
    visit.page.evaluate("tell()")
    assert visit.page.evaluate(KEPT, place) == [0, 0, 1]
    assert visit.complaints == []


@pytest.mark.parametrize("name", ["loss", "accuracy", "pairs", "calibration", "durations-0", "line-0", "cores-6"])
def test_arrows_walk_through_the_points_of_each_kind_of_chart(visit: Visit, name: str) -> None:
    focused(visit, name)
    first, second = pressed(visit, "ArrowRight"), pressed(visit, "ArrowRight")
    assert first != [""] and (second != first or name == "durations-0")
    assert pressed(visit, "ArrowLeft") == first


def test_a_number_key_hides_a_line_and_shows_it_again(visit: Visit) -> None:
    place = focused(visit, "loss")
    lines = "(place) => place.querySelectorAll('path[stroke=\"#c2410c\"]').length"
    pressed(visit, "Escape")  # draws the chart
    shown = visit.page.evaluate(lines, place)
    pressed(visit, "2")
    visit.page.wait_for_function(f"([place, shown]) => ({lines})(place) < shown", arg=[place, shown])
    pressed(visit, "2")
    visit.page.wait_for_function(f"([place, shown]) => ({lines})(place) === shown", arg=[place, shown])


def test_the_page_says_which_keys_a_chart_takes_while_it_has_the_focus(visit: Visit) -> None:
    assert not visit.page.is_visible("#keys")
    visit.page.focus("figure summary")
    visit.page.keyboard.press("Shift+Tab")
    assert visit.page.evaluate("document.activeElement.className") == "chart interval"
    assert visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert visit.page.is_visible("#keys")
    visit.page.keyboard.press("Tab")
    assert not visit.page.is_visible("#keys")


def test_a_chart_that_is_drawn_by_its_button_gets_the_focus_of_the_button(visit: Visit) -> None:
    visit.page.focus("button.draw")
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.activeElement.dataset.chart") == "matrix-all"
    assert pressed(visit, "ArrowRight")[0] == "true class breed 0"


def test_keys_of_the_browser_are_left_to_it(visit: Visit) -> None:
    place = focused(visit, "loss")
    pressed(visit, "Control+ArrowRight", "Alt+ArrowDown", "x", "Home")
    assert place.get_attribute("data-at") is None
