"""A serving program that answers the page's photos, and says by /metrics where the time went."""

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

ALL = 10_000  # labels; the most that a server lists, so that every class can be chosen
SECONDS = 10  # for /metrics
PARTS = ("decode", "model", "queue")
UNUSABLE = "422 the body is not a usable photo: "  # with which serve/worker.py begins its sentence about a photo


class TimedServer:
    """Asks a server about one photo at a time, so that what its metrics add up to in between belongs to that photo."""

    def __init__(self, url: str) -> None:
        self._url, self._lock = url, threading.Lock()
        self._before = self._totals()

    def __call__(self, photo: Path) -> Answer:
        """Return the server's answer to a photo; raises PhotoError if the photo is not usable.

        Raises UserError with any other sentence of the server, or where nobody answers.
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
        """Return what the server's metrics add up to; nothing where it is another kind of server."""
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
    """Call a function of `byoc predict`; of its UserError, take away the photo's path, which means nothing to the page.

    Raises PhotoError with the reason alone if the server says that the photo is not usable.
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
    """Return the parts of the one request between two looks at the metrics; None where others came in between."""
    count = "byoc_request_seconds_count"
    if after.get(count, 0) - before.get(count, 0) != 1:
        return None
    names = {part: f"byoc_{part}_seconds_sum" for part in PARTS}
    if not all(name in after for name in names.values()):
        return None
    return Parts(**{part: max(0.0, after[name] - before.get(name, 0.0)) for part, name in names.items()})
