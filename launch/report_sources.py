"""What a report is made from, each with a `look` that says what is known now: a folder here, S3, a server, an endpoint."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from classifier.errors import DataError, UserError
from classifier.names import one_line
from reports.live.sampler import Sampler
from reports.report import read
from reports.rules.cost import Price
from reports.rules.verdict import Evidence
from reports.sources.endpoint import Endpoint

REPORT = "report"  # the stem of files that are our own reports


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of a run."""

    evidence: Evidence
    name: str
    source: str
    missing: tuple[str, ...]
    state: str  # one sentence on what goes on
    price: Price | None = None  # of the instances that the run's records are of, where the source knows it


class RunSource(Protocol):
    """A run, wherever it is."""

    def look(self) -> Found | None:
        """Return what is known now; None where nothing has changed since the last call. Raises UserError."""


class EndpointSource(Protocol):
    """An endpoint, wherever it is."""

    def look(self) -> Endpoint:
        """Return what is known now. Raises UserError."""


class FolderSource:
    """A run or the profiler's output in a folder or a file here."""

    def __init__(self, path: Path, *, waits: bool) -> None:
        """With `waits`, a folder that holds nothing yet is not refused: a run may begin to write into it."""
        self._path, self._waits = path, waits
        self._seen: object = None

    def look(self) -> Found | None:
        """Raises DataError where there is nothing of a known kind."""
        seen = self._state()
        if seen == self._seen and seen:
            return None
        self._seen = seen
        try:
            evidence, missing = read(self._path)
        except DataError as error:
            if not (self._waits and self._path.is_dir()):
                raise
            evidence, missing = Evidence(run=None, profile=None), (f"{error}.",)
        return Found(
            evidence=evidence,
            name=self._path.resolve().name,
            source=one_line(self._path),
            missing=missing,
            state=_state_of(evidence),
        )

    def _state(self) -> tuple[tuple[str, int, int], ...]:
        """Return names, sizes and times of all files, without reports."""
        paths = [self._path] if self._path.is_file() else sorted(self._path.rglob("*"))
        found = []
        for path in paths:
            try:
                facts = path.stat()
            except OSError:  # renamed a moment ago
                continue
            if path.stem != REPORT and not path.is_dir():
                found.append((str(path), facts.st_size, facts.st_mtime_ns))
        return tuple(found)


def _state_of(evidence: Evidence) -> str:
    at = time.strftime("%H:%M:%S")
    if evidence.run is None and evidence.profile is None:
        return f"Nothing is recorded yet at {at}."
    ended = evidence.run is not None and evidence.run.finished
    return f"The run has ended; read at {at}." if ended else f"The run goes on; the last change was read at {at}."


class ServerSource:
    """A server of ours, by its /metrics."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for what is not an address."""
        self._sampler = Sampler(url)
        self._checked = False  # `check` has just taken a sample

    def look(self) -> Endpoint:
        """Never raises: what did not answer is missing."""
        if not self._checked:
            self._sampler.look()
        self._checked = False
        return self._sampler.endpoint()

    def check(self) -> None:
        """Raise UserError where nothing at all answers there."""
        self._checked = True
        if not self._sampler.look() and not self._sampler.answered:
            raise UserError(f"{self._sampler.problem}; start a server with: byoc serve DIR")


class Paced:
    """An endpoint that is not asked more often than every so many seconds."""

    def __init__(self, read: Callable[[], Endpoint], seconds: float) -> None:
        self._read, self._seconds = read, seconds
        self._last: Endpoint | None = None
        self._at = 0.0

    def look(self) -> Endpoint:
        """Raises UserError."""
        if self._last is None or time.monotonic() - self._at >= self._seconds:
            self._at = time.monotonic()  # also where the answer is an error, which is not asked for again at once
            self._last = self._read()
        return self._last
