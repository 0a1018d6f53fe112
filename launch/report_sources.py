"""The sources of a report: a folder on this machine, a server, and an endpoint. Each has a function `look` that reads its present state."""

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

REPORT = "report"  # the stem of the files that byoc report writes


@dataclass(frozen=True, kw_only=True)
class Found:
    """The present data about a run."""

    evidence: Evidence
    name: str
    source: str
    missing: tuple[str, ...]
    state: str  # one sentence about the run's present state
    price: Price | None = None  # price of the instances on which the run was recorded, if the source knows it


class RunSource(Protocol):
    """A source for a run, on this machine or on AWS."""

    def look(self) -> Found | None:
        """Return the run's present state; None if nothing has changed since the last call. Raises UserError."""


class EndpointSource(Protocol):
    """A source for an endpoint, on this machine or on AWS."""

    def look(self) -> Endpoint:
        """Return the endpoint's present state. Raises UserError."""


class FolderSource:
    """A source for a run or profiler output in a folder or file on this machine."""

    def __init__(self, path: Path, *, waits: bool) -> None:
        """With `waits`, `look` does not refuse an empty folder, because a run may begin to write into it."""
        self._path, self._waits = path, waits
        self._seen: object = None

    def look(self) -> Found | None:
        """Return the present state. Raises DataError if the folder or file holds no data of a known kind."""
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
        """Return path, size and modification time of each file, without reports."""
        paths = [self._path] if self._path.is_file() else sorted(self._path.rglob("*"))
        found = []
        for path in paths:
            try:
                facts = path.stat()
            except OSError:  # the file was renamed or deleted since the listing
                continue
            if path.stem != REPORT and not path.is_dir():
                found.append((str(path), facts.st_size, facts.st_mtime_ns))
        return tuple(found)


def _state_of(evidence: Evidence) -> str:
    at = time.strftime("%H:%M:%S")
    if evidence.run is None and evidence.profile is None:
        return f"Nothing is recorded yet at {at}."
    ended = evidence.run is not None and evidence.run.finished
    return (
        f"The run has ended; read at {at}." if ended else f"The run is not finished; its last change was read at {at}."
    )


class ServerSource:
    """A source for one of our servers, read from its /metrics."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError if `url` is not an address."""
        self._sampler = Sampler(url)
        self._checked = False  # whether `check` has just taken a sample, which `look` then uses

    def look(self) -> Endpoint:
        """Return the present state, without the parts that could not be read. Raises nothing."""
        if not self._checked:
            self._sampler.look()
        self._checked = False
        return self._sampler.endpoint()

    def check(self) -> None:
        """Raise UserError if no server answers at the address."""
        self._checked = True
        if not self._sampler.look() and not self._sampler.answered:
            raise UserError(f"{self._sampler.problem}; start a server with: byoc serve DIR")


class Paced:
    """A source for an endpoint that reads it at most once in `seconds`."""

    def __init__(self, read: Callable[[], Endpoint], seconds: float) -> None:
        self._read, self._seconds = read, seconds
        self._last: Endpoint | None = None
        self._at = 0.0

    def look(self) -> Endpoint:
        """Raises UserError."""
        if self._last is None or time.monotonic() - self._at >= self._seconds:
            self._at = time.monotonic()  # set before the read, so that an error is not followed by another read at once
            self._last = self._read()
        return self._last
