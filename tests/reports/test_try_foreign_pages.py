"""A web page of somebody else, in the browser in which the try page is open, can neither use the try page nor read it."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.try_page.answer import Answer
from tests.reports.browsing import DESKTOP, Visit, needs_chromium
from tests.reports.trying import TOKEN, Trying, trying

pytestmark = needs_chromium
# All requests that a foreign page may try, also with the token.
ATTACK = """
const found = [];
const attempt = async (name, options) => {
  try {
    const answer = await fetch(target + name, options);
    found.push(name + " " + answer.type + " " + (await answer.text()).length);
  } catch { found.push(name + " failed"); }
};
(async () => {
  for (const token of ["", "guess", known]) {
    await attempt("/?token=" + token, {});
    await attempt("/?token=" + token, { mode: "no-cors" });
    for (const route of ["/predict", "/look?label=cat", "/keep?label=cat&name=a.jpg", "/forget"]) {
      await attempt(route, { method: "POST", body: "a photo", headers: { "X-Byoc-Token": token } });
      await attempt(route, { method: "POST", body: "a photo", mode: "no-cors", headers: { "X-Byoc-Token": token } });
    }
    navigator.sendBeacon(target + "/keep?label=cat&name=a.jpg", "a photo");
  }
  document.title = found.join("|");
})();
"""


@pytest.fixture
def stranger() -> Iterator[tuple[str, dict[str, str]]]:
    """Another site on this machine: its address, and its pages by path."""
    pages: dict[str, str] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://localhost:{server.server_address[1]}", pages
        server.shutdown()
        thread.join()


@pytest.fixture
def asked() -> list[Path]:
    return []


@pytest.fixture
def page(tmp_path: Path, asked: list[Path]) -> Iterator[Trying]:
    def ask(photo: Path) -> Answer:
        asked.append(photo)
        return Answer(labels=(), seconds=0)

    with trying(ask, tmp_path / "photos", keep=tmp_path / "kept") as found:
        yield found


def test_requests_of_another_page_reach_no_model_and_read_nothing(
    browser: Any, page: Trying, asked: list[Path], stranger: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    origin, pages = stranger
    pages["/"] = f"<title>wait</title><script>const target = '{page.origin}', known = '{TOKEN}';{ATTACK}</script>"
    visit = Visit(browser, f"{origin}/", DESKTOP)
    visit.page.wait_for_function("() => document.title.includes('|')")
    found = visit.page.title().split("|")
    assert len(found) == 30
    # A page learns nothing from an opaque response, not even its length.
    assert {line.partition(" ")[2] for line in found} <= {"failed", "opaque 0"}
    assert asked == [] and not (tmp_path / "kept").exists()


def test_a_form_of_another_page_is_refused_and_the_page_is_shown_in_no_frame(
    browser: Any, page: Trying, asked: list[Path], stranger: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    origin, pages = stranger
    action = f"{page.origin}/keep?label=cat&name=a.jpg"
    pages["/form"] = (
        f"<form method=post enctype=text/plain action='{action}'><input name=a value=b><button>Win</button></form>"
    )
    visit = Visit(browser, f"{origin}/form", DESKTOP)
    visit.page.click("button")
    visit.page.wait_for_selector("text=this request comes from another page")
    pages["/frame"] = f"<iframe src='{page.url}'></iframe>"
    visit = Visit(browser, f"{origin}/frame", DESKTOP)
    visit.page.wait_for_timeout(300)
    assert visit.page.frames[1].query_selector("#drop") is None
    assert asked == [] and not (tmp_path / "kept").exists()
