"""The server of the try page in this process, and requests to it as its page sends them."""

import contextlib
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.try_page.answer import Answer, Ask, Label
from reports.try_page.kept import Kept
from reports.try_page.looker import Looker
from reports.try_page.page import TryPage
from reports.try_page.server import TryServer

TOKEN = "the-token"


@dataclass(frozen=True, kw_only=True)
class Trying:
    """A page that is served; `origin` is its address without path."""

    server: TryServer
    origin: str
    folder: Path  # the folder for photos while they are answered

    @property
    def url(self) -> str:
        return f"{self.origin}/?token={TOKEN}"

    def post(self, route: str, body: bytes, headers: Mapping[str, str] | None = None, **query: str) -> tuple[int, Any]:
        """Send a photo as the page does, with these headers instead of the page's; return status and answer."""
        own = {"Origin": self.origin, "X-Byoc-Token": TOKEN}
        wanted = {name: value for name, value in (own | dict(headers or {})).items() if value}
        url = f"{self.origin}/{route}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, wanted), timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def named(*labels: str) -> Ask:
    """Return a model that answers every photo with these classes, each with half of the probability of the one before."""
    found = tuple(Label(name=label, probability=0.5 ** (place + 1)) for place, label in enumerate(labels))
    return lambda photo: Answer(labels=found, seconds=0.01)


@contextlib.contextmanager
def trying(ask: Ask, folder: Path, *, looker: Looker | None = None, keep: Path | None = None) -> Iterator[Trying]:
    """Serve the page for a model while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    page = TryPage(
        title="a model",
        ask=ask,
        at_a_time=1,
        looker=looker,
        kept=Kept(keep) if keep else None,
        no_look="Name --artifact",
        no_keep="Name --keep",
    )
    with TryServer(("127.0.0.1", 0), page, TOKEN, folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Trying(server=server, origin=f"http://127.0.0.1:{server.server_address[1]}", folder=folder)
        finally:
            server.shutdown()
            thread.join()
