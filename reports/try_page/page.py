"""Writes the page as one HTML file, and its security policy, which lets nothing else run or load."""

import base64
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.try_page import guard
from reports.try_page.answer import Ask
from reports.try_page.kept import Kept
from reports.try_page.looker import Looker

HERE = Path(__file__).parent
COLOURS = HERE.parent / "page" / "page.css"  # the style of the report's page, so that both pages look the same
MOST = 100  # the page holds at most this many photos
SHOWN = 5  # number of labels that the page shows for a photo
# Headers of every answer.
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, kw_only=True)
class TryPage:
    """The settings of the page. `title` names the model. `ask` answers a photo; it may be called for `at_a_time` photos at a time.

    If `looker` is None, `no_look` says how to start byoc try with it; `no_keep` says the same for `kept`.
    """

    title: str
    ask: Ask
    at_a_time: int
    looker: Looker | None
    kept: Kept | None
    no_look: str
    no_keep: str


def html(page: TryPage, token: str) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    settings = {
        "token": token,
        "header": guard.TOKEN,
        "largest": guard.LARGEST,
        "most": MOST,
        "at_a_time": page.at_a_time,
        "shown": SHOWN,
        "look": page.looker is not None,
        "keep": page.kept is not None,
    }
    made: str = environment.get_template("page.html").render(
        page=page, settings=settings, style=Markup(_style()), script=Markup(_script())
    )
    return made


def policy() -> str:
    """Return the content security policy. It allows the page's own script and style, by their hashes, and requests to this server only."""
    return (
        f"default-src 'none'; script-src {_hash(_script())}; style-src {_hash(_style())}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@functools.cache
def _style() -> str:
    return COLOURS.read_text(encoding="utf-8") + (HERE / "page.css").read_text(encoding="utf-8")


@functools.cache
def _script() -> str:
    return (HERE / "page.js").read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
