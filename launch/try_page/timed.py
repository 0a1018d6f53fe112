"""A serving program that answers the page's photos. Its /metrics show how the time of each request was spent."""

import contextlib
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from classifier.errors import PhotoError, UserError
from classifier.names import one_line
from launch.predict import Rankings, address, predict
from reports.try_page.answer import Answer, Label, Parts

ALL = 10_000  # the most labels in an answer; all that a server lists, so that the user can choose every class
SECONDS = 10  # seconds to wait for /metrics
PARTS = ("decode", "model", "queue")
UNUSABLE = "422 the body is not a usable photo: "  # the beginning of serve/worker.py's message about a photo that is not usable


class TimedServer:
    """Sends one photo at a time to a server. The growth of the server's metrics between two requests then belongs to one photo."""

    def __init__(self, url: str) -> None:
        self._url, self._lock = url, threading.Lock()
        self._before = self._totals()

    def __call__(self, photo: Path) -> Answer:
        """Return the server's answer to a photo. Raises PhotoError if the photo is not usable.

        Raises UserError with any other message of the server, or if no server answers.
        """
        with self._lock:
            started = time.perf_counter()
            try:
                best = ask_for_page(photo, predict, self._url, photo, top_k=ALL)
            finally:
                seconds = time.perf_counter() - started
                before, self._before = self._before, self._totals()
            return answer(best, seconds, _parts(before, self._before))

    def _totals(self) -> dict[str, float]:
        """Return the totals in the server's metrics. They are empty for another kind of server."""
        totals: dict[str, float] = {}
        with contextlib.suppress(OSError, ValueError):
            url = address(self._url).removesuffix("/invocations") + "/metrics"
            with urllib.request.urlopen(url, timeout=SECONDS) as metrics:
                for line in metrics.read(1_000_000).decode().splitlines():
                    name, _, value = line.rpartition(" ")
                    if name.startswith("byoc_") and name.endswith(("_seconds_sum", "_seconds_count")):
                        totals[name] = float(value)
        return totals


def ask_for_page(photo: Path, ask: Callable[..., Rankings], *arguments: Any, **options: Any) -> Rankings:
    """Call a function of `byoc predict`. Remove the photo's path from the text of its UserError, because the path means nothing on the
    page.

    Raises PhotoError with the bare reason if the server answers that the photo is not usable.
    """
    try:
        return ask(*arguments, **options)
    except UserError as error:
        sentence = str(error).removeprefix(f"{one_line(photo)}: ")
        if sentence.startswith(UNUSABLE):
            raise PhotoError(sentence.removeprefix(UNUSABLE)) from error
        raise UserError(sentence) from error


def answer(rankings: Rankings, seconds: float, parts: Parts | None = None) -> Answer:
    """Return the answer to the first photo of a request."""
    labels = tuple(Label(name=item["label"], probability=item["probability"]) for item in rankings[0])
    return Answer(labels=labels, seconds=seconds, parts=parts)


def _parts(before: dict[str, float], after: dict[str, float]) -> Parts | None:
    """Return how the time of one request was spent, from the totals before and after it. None if other requests came in between."""
    count = "byoc_request_seconds_count"
    if after.get(count, 0) - before.get(count, 0) != 1:
        return None
    names = {part: f"byoc_{part}_seconds_sum" for part in PARTS}
    if not all(name in after for name in names.values()):
        return None
    return Parts(**{part: max(0.0, after[name] - before.get(name, 0.0)) for part, name in names.items()})
