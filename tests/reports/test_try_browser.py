"""The try page in a browser, with a real model behind it: photos, answers, keeping, and everything that may go wrong."""

import base64
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from launch.server import serving
from launch.try_page.timed import TimedServer
from reports.try_page.looker import looking
from tests.conftest import needs_torch
from tests.reports.browsing import DESKTOP, PHONE, Visit, needs_chromium
from tests.reports.trying import Trying, named, trying

pytestmark = [needs_chromium, needs_torch]
EVERYWHERE = pytest.mark.parametrize("scheme", ["light", "dark"])
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
COMPLAINT = "error: Failed to load resource: the server responded with a status of "  # the browser's own message about a refused request


@pytest.fixture(scope="module")
def photos(samples: Path) -> list[Path]:
    """Thirty real photos, five of each class."""
    return [path for label in sorted(samples.glob("test/*"))[:6] for path in sorted(label.iterdir())[:5]]


@pytest.fixture(scope="module")
def real(url: str, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trying]:
    """The page for a model that these tests have trained, with maps of where it looked and a folder for kept photos."""
    program = [sys.executable, "-P", "-m", "reports.try_page.activation", str(model)]
    place = tmp_path_factory.mktemp("try")
    with (
        looking(program) as looker,
        trying(TimedServer(url), place / "photos", looker=looker, keep=place / "kept") as page,
    ):
        yield page


def kept(page: Trying) -> list[str]:
    assert page.server.page.kept
    folder = page.server.page.kept.folder
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def drop(visit: Visit, *files: tuple[str, bytes]) -> None:
    """Drop files on the page as a person does from a file manager."""
    content = [[name, base64.b64encode(data).decode()] for name, data in files]
    dropped = visit.page.evaluate_handle(
        """(files) => {
          const dropped = new DataTransfer();
          for (const [name, data] of files) {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            dropped.items.add(new File([bytes], name, { type: "image/jpeg" }));
          }
          return dropped;
        }""",
        content,
    )
    visit.page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})


def answered(visit: Visit, count: int) -> None:
    visit.page.wait_for_function(
        "(count) => document.querySelectorAll('.answered, .failed').length === count", arg=count
    )


def pixels(visit: Visit) -> str:
    return visit.page.evaluate("document.querySelector('canvas').toDataURL()")


@pytest.mark.slow
@SIZES
@EVERYWHERE
def test_photos_that_are_dropped_are_answered_with_bars_and_times(
    browser: Any, real: Trying, photos: list[Path], size: tuple[int, int], scheme: str
) -> None:
    visit = Visit(browser, real.url, size, scheme)
    chosen = {f"{path.parent.name}.jpg": path for path in photos[::5]}
    drop(visit, *((name, path.read_bytes()) for name, path in chosen.items()))
    answered(visit, 6)
    best = [real.server.page.ask(path).labels[0] for path in chosen.values()]
    assert visit.texts("article .name") == list(chosen)
    assert visit.texts(".labels li:first-child .text") == [label.name for label in best]
    assert visit.texts(".labels li:first-child .percent") == [f"{100 * label.probability:.1f} %" for label in best]
    assert sum(label.name == path.parent.name for label, path in zip(best, chosen.values(), strict=True)) >= 4
    assert len(visit.texts(".labels li")) == 30
    width = visit.page.evaluate("document.querySelector('.label .bar span').getBoundingClientRect().width")
    assert width > 50
    for text in visit.texts(".time"):
        assert [part in text for part in ("model ", "reading the photo ", "waiting ", "network ")] == [True] * 4
    assert visit.texts("#status") == ["6 of 6 photos answered."]
    visit.page.wait_for_function("() => document.querySelectorAll('canvas:not([hidden])').length === 6")
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert visit.complaints == []
    assert [address for address in visit.requests if not address.startswith((real.origin, "data:"))] == []


@pytest.mark.slow
def test_thirty_photos_at_once_are_all_answered(browser: Any, real: Trying, photos: list[Path]) -> None:
    visit = Visit(browser, real.url, PHONE)
    visit.page.set_input_files("#choose", photos)
    answered(visit, 30)
    assert visit.texts("#status") == ["30 of 30 photos answered."] and visit.complaints == []
    visit.page.click("#clear")
    assert visit.texts("#status") == ["No photo yet."] and visit.texts("article") == []


@pytest.mark.slow
def test_where_the_model_looked_is_drawn_for_the_class_that_is_pressed(
    browser: Any, real: Trying, photos: list[Path]
) -> None:
    visit = Visit(browser, real.url, DESKTOP)
    visit.page.set_input_files("#camera", photos[0])
    answered(visit, 1)
    visit.page.wait_for_selector("canvas:not([hidden])")
    plain = pixels(visit)
    visit.page.click(".labels li:first-child button")
    visit.page.wait_for_selector(".caption:has-text('The brighter')")
    drawn = pixels(visit)
    assert drawn != plain and visit.page.get_attribute("button.label >> nth=0", "aria-pressed") == "true"
    assert f"where the model looked for {photos[0].parent.name}" in visit.page.get_attribute("canvas", "aria-label")
    visit.page.click(".labels li:nth-child(2) button")
    visit.page.wait_for_function("(drawn) => document.querySelector('canvas').toDataURL() !== drawn", arg=drawn)
    assert visit.page.get_attribute("button.label >> nth=0", "aria-pressed") == "false"
    visit.page.click(".labels li:nth-child(2) button")
    assert pixels(visit) == plain and visit.complaints == []


@pytest.mark.slow
def test_a_wrong_answer_is_put_right_and_undone_by_keyboard_alone(
    browser: Any, real: Trying, photos: list[Path]
) -> None:
    visit = Visit(browser, real.url, DESKTOP)
    visit.page.set_input_files("#choose", photos[0])
    answered(visit, 1)
    visit.page.focus(".actions button")
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.querySelector('dialog').open")
    visit.page.keyboard.press("Escape")
    assert visit.page.evaluate("document.activeElement.textContent") == "Wrong: keep it"
    visit.page.keyboard.press("Enter")
    visit.page.focus("#filter")
    visit.page.keyboard.type("COFF")
    assert visit.texts("#choices li") == ["coffee"]
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector(".actions:has-text('Kept as coffee/000-')")
    (path,) = kept(real)
    assert path.startswith("coffee/000-") and path.endswith(".jpg")
    visit.page.focus(".actions button:has-text('Undo')")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector(".actions:not(:has-text('Kept'))")
    assert kept(real) == [] and visit.complaints == []


@pytest.mark.slow
def test_everything_that_does_something_is_reached_by_keyboard(browser: Any, real: Trying, photos: list[Path]) -> None:
    visit = Visit(browser, real.url, PHONE)
    visit.page.set_input_files("#choose", photos[:2])
    answered(visit, 2)
    wanted = visit.page.evaluate(
        "Array.from(document.querySelectorAll('button, input')).filter((one) => one.checkVisibility()).length"
    )
    visit.page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(wanted):
        visit.page.keyboard.press("Tab")
        place = "Array.from(document.querySelectorAll('*')).indexOf(document.activeElement)"
        reached.add(visit.page.evaluate(place))
        outlined = "getComputedStyle(document.activeElement.id === 'choose' || document.activeElement.id === 'camera'"
        outlined += " ? document.activeElement.nextElementSibling : document.activeElement).outlineStyle"
        assert visit.page.evaluate(outlined) == "solid"
    assert len(reached) == wanted == 2 + 1 + 2 * (5 + 1)


@pytest.mark.slow
@SIZES
@EVERYWHERE
def test_axe_finds_nothing_serious_on_the_try_page(
    browser: Any, real: Trying, photos: list[Path], size: tuple[int, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    visit = Visit(browser, real.url, size, scheme)
    drop(visit, *((path.name, path.read_bytes()) for path in photos[:2]), ("text.jpg", b"no photo"))
    answered(visit, 3)
    visit.page.click(".labels li:first-child button")
    visit.page.wait_for_selector(".caption:has-text('The brighter')")
    for opened in (False, True):
        if opened:
            visit.page.click(".answered .actions button")
        found = Axe().run(visit.page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.mark.slow
def test_damaged_and_large_files_are_refused_with_a_sentence_and_the_others_are_answered(
    browser: Any, real: Trying, photos: list[Path], tmp_path: Path
) -> None:
    whole = photos[0].read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "text.jpg").write_text("a letter to nobody\n" * 50)
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / "empty.jpg").touch()
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(60_000_000)
    shutil.copy(photos[0], tmp_path / "whole.jpg")
    visit = Visit(browser, real.url, PHONE)
    visit.page.set_input_files("#choose", sorted(tmp_path.iterdir()))
    answered(visit, 6)
    names, said = visit.texts("article .name"), visit.texts("article .sentence")
    sentences = dict(zip(names, said, strict=True))
    assert sentences["large.jpg"] == "60.0 MB are over the limit of 25 MB; make the photo smaller"
    assert sentences["empty.jpg"] == "the file is empty; choose a photo"
    assert sentences["half.jpg"] == (
        "half.jpg is not a usable photo: damaged image: its end is missing, and pixels with it; copy or download it again"
    )
    assert sentences["text.jpg"] == "text.jpg is not a usable photo: not an image"
    assert (
        sentences["page.jpg"] == "page.jpg is not a usable photo: an HTML page, not an image; download the photo itself"
    )
    assert sentences["whole.jpg"] == "" and visit.texts("#status") == ["1 of 6 photos answered, 5 refused."]
    assert str(real.folder) not in " ".join(said)
    assert {complaint.removeprefix(COMPLAINT)[:3] for complaint in visit.complaints} == {"422"}


@pytest.mark.slow
def test_a_photo_of_50_megapixels_and_one_that_is_chosen_twice_are_answered(
    browser: Any, real: Trying, photos: list[Path], tmp_path: Path
) -> None:
    Image.open(photos[0]).convert("RGB").resize((8700, 5800)).save(tmp_path / "large.jpg")
    visit = Visit(browser, real.url, PHONE)
    visit.page.set_input_files("#choose", [tmp_path / "large.jpg", photos[1], photos[1]])
    answered(visit, 3)
    assert visit.texts("#status") == ["3 of 3 photos answered."] and visit.complaints == []
    first, again = visit.texts(".labels")[1:]
    assert first == again and visit.page.is_visible("article canvas >> nth=0")


def test_a_page_whose_server_has_ended_says_so_and_tries_again(
    browser: Any, tmp_path: Path, photos: list[Path]
) -> None:
    with trying(named("cat"), tmp_path) as page:
        visit = Visit(browser, page.url, DESKTOP)
        visit.page.set_input_files("#choose", photos[0])
        answered(visit, 1)
    visit.page.set_input_files("#choose", photos[1])
    visit.page.wait_for_selector(".failed .sentence:has-text('byoc try does not answer')")
    visit.page.click(".failed .actions button")
    visit.page.wait_for_selector(".failed .sentence:has-text('byoc try does not answer')")
    assert visit.texts("#status") == ["1 of 2 photos answered, 1 refused."]


@pytest.mark.slow
def test_a_model_server_that_has_ended_is_named(browser: Any, model: Path, tmp_path: Path, photos: list[Path]) -> None:
    with serving(model, 0, tmp_path / "log.txt") as url:
        ask = TimedServer(url)
    with trying(ask, tmp_path / "photos") as page:
        visit = Visit(browser, page.url, DESKTOP)
        visit.page.set_input_files("#choose", photos[0])
        visit.page.wait_for_selector(f".failed .sentence:has-text('no server answers at {url}')")


@pytest.mark.slow
def test_the_page_takes_a_hundred_photos_and_says_how_many_it_left_out(
    browser: Any, tmp_path: Path, photos: list[Path]
) -> None:
    with trying(named("cat"), tmp_path) as page:
        visit = Visit(browser, page.url, DESKTOP)
        small = photos[0].read_bytes()
        drop(visit, *((f"{number}.jpg", small) for number in range(103)))
        answered(visit, 100)
        assert visit.texts("#status") == [
            "100 of 100 photos answered. The page holds 100 photos; 3 were left out. Clear it for more."
        ]


def test_names_that_are_markup_are_shown_as_they_are_and_kept_in_folders_of_their_names(
    browser: Any, tmp_path: Path, photos: list[Path]
) -> None:
    bad = ('<img src=x onerror="alert(1)">', "<script>alert(2)<\\script>", "{{ 7 * 7 }} ${alert(3)}")
    with trying(named(*bad), tmp_path / "photos", keep=tmp_path / "<b>kept") as page:
        visit = Visit(browser, page.url, DESKTOP)
        drop(visit, ("<img src=x onerror=alert(4)>.jpg", photos[0].read_bytes()))
        answered(visit, 1)
        assert visit.texts(".labels .text") == list(bad)
        assert visit.texts("article .name") == ["<img src=x onerror=alert(4)>.jpg"]
        visit.page.click(".actions button")
        visit.page.click("#choices li:first-child button")
        visit.page.wait_for_selector(".actions:has-text('Kept as')")
        assert kept(page)[0].startswith(f"{bad[0]}/img-src-x-onerror-alert-4-")
        assert visit.page.query_selector_all("main img, main script, header b") == []
        assert visit.complaints == []
