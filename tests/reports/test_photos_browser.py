"""The photos of the page in a browser: they are shown, cells of the matrix lead to them, and names stay text."""

from pathlib import Path
from typing import Any

import pytest

from tests.reports.browsing import DESKTOP, PHONE, Visit, full_page, needs_chromium

pytestmark = needs_chromium


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_photo_is_shown_when_it_is_scrolled_to(browser: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    visit = Visit(browser, full_page(tmp_path, photos=True), size)
    photos = visit.page.query_selector_all("img")
    assert len(photos) > 20
    for photo in photos:
        visit.scroll_to(photo)
        visit.page.wait_for_function("photo => photo.complete && photo.naturalWidth === 64", arg=photo)
        box = photo.bounding_box()
        assert box["width"] > 60 and box["x"] + box["width"] <= size[0]
    assert visit.complaints == [] and all(url.startswith(("file:", "data:")) for url in visit.requests)


def test_a_cell_of_the_matrix_leads_to_its_photos(browser: Any, tmp_path: Path) -> None:
    visit = Visit(browser, full_page(tmp_path, photos=True), DESKTOP)
    place = visit.page.query_selector('div.chart[data-chart="matrix"]')
    visit.scroll_to(place)
    visit.page.wait_for_function("place => place.dataset.drawn", arg=place)
    (cell,) = visit.page.evaluate("Object.keys(facts.matrix.links)")
    x, y = visit.page.evaluate(
        "([place, cell]) => drawn.get(place).convertToPixel({ seriesIndex: 0 }, cell)",
        [place, [int(number) for number in cell.split(",")]],
    )
    place.click(position={"x": x, "y": y})
    assert visit.page.evaluate("location.hash") == "#pair-1-0"
    group = visit.page.query_selector("li:target")
    assert "breed 1 taken for breed 0" in group.text_content()
    assert 0 <= group.bounding_box()["y"] < DESKTOP[1]
    assert visit.complaints == []


def test_a_cell_without_photos_leads_nowhere(browser: Any, tmp_path: Path) -> None:
    visit = Visit(browser, full_page(tmp_path, photos=True), DESKTOP)
    place = visit.page.query_selector('div.chart[data-chart="matrix"]')
    visit.scroll_to(place)
    visit.page.wait_for_function("place => place.dataset.drawn", arg=place)
    x, y = visit.page.evaluate("place => drawn.get(place).convertToPixel({ seriesIndex: 0 }, [0, 0])", place)
    place.click(position={"x": x, "y": y})
    assert visit.page.evaluate("location.hash") == "" and visit.complaints == []


def test_names_that_are_markup_are_shown_as_they_are(browser: Any, tmp_path: Path) -> None:
    bad = ('<img src=x onerror="alert(1)">', "</script><script>alert(2)</script>", "{{ 7 * 7 }} ${alert(3)}")
    visit = Visit(browser, full_page(tmp_path / "run", bad, photos=True), DESKTOP)
    visit.draw_all()
    assert visit.complaints == []
    assert visit.page.query_selector_all("main img:not([src^='data:image/jpeg;base64,']), main script") == []
    assert any(bad[0] in text and bad[1] in text for text in visit.texts("figure.photo figcaption"))
