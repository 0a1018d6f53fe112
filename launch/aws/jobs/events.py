"""Reads the lines of a log in CloudWatch as they arrive."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from launch.aws.errors import AwsError, explained
from launch.aws.jobs.kinds import Kind, is_missing
from launch.aws.session import Session

# Lines of several hosts reach CloudWatch out of order, so each request begins
# this long before the last line that was seen.
OVERLAP_MS = 60_000


@dataclass(frozen=True)
class Line:
    """One line of a log."""

    time: float  # seconds since 1970
    stream: str
    text: str

    @property
    def host(self) -> str:
        """The host that wrote the line, as in algo-1. It is part of the stream's name."""
        return "-".join(self.stream.rpartition("/")[2].split("-")[:2])


@dataclass
class LogReader:
    """Reads a log from a given time on. Each call of `new` returns the lines that no earlier call has returned."""

    session: Session
    group: str
    prefix: str = ""  # the beginning of the streams' names
    since: float = 0.0
    search: str = ""  # text that the lines must hold, in upper and lower case as given; empty for all lines
    _from_ms: int = field(init=False)
    _seen: dict[str, int] = field(default_factory=dict)  # the time of each event in milliseconds, by the event's id

    def __post_init__(self) -> None:
        self._from_ms = int(self.since * 1000)

    def new(self) -> Iterator[Line]:
        """Yield the new lines in the order of their times. Yield nothing if the log does not exist yet. Raises AwsError."""
        newest = self._from_ms + OVERLAP_MS
        for event in self._events():
            if event["eventId"] in self._seen:
                continue
            self._seen[event["eventId"]] = event["timestamp"]
            newest = max(newest, event["timestamp"])
            yield Line(event["timestamp"] / 1000, event["logStreamName"], event["message"].rstrip("\r\n"))
        self._from_ms = newest - OVERLAP_MS
        self._seen = {name: moment for name, moment in self._seen.items() if moment >= self._from_ms}

    def _events(self) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {"logGroupName": self.group, "startTime": self._from_ms}
        if self.prefix:
            request["logStreamNamePrefix"] = self.prefix
        if self.search:
            request["filterPattern"] = _pattern(self.search)
        while True:
            try:
                with explained(f"the log {self.group}"):
                    page = self.session.client("logs").filter_log_events(**request)
            except AwsError as error:
                if is_missing(error):  # the log does not exist before its first line
                    return
                raise
            yield from page["events"]
            if not (token := page.get("nextToken")):
                return
            request["nextToken"] = token


def reader(session: Session, kind: Kind, name: str, since: float = 0.0, search: str = "") -> LogReader:
    """Return the reader for the log of a job or an endpoint. For a tuning job it reads the logs of all its training jobs."""
    if kind.name == "endpoint":
        return LogReader(session, f"{kind.group}/{name}", since=since, search=search)
    return LogReader(
        session=session,
        group=kind.group,
        prefix=f"{name}-" if kind.name == "tuning" else f"{name}/",
        since=since,
        search=search,
    )


def shown(line: Line, hosts: int = 1) -> str:
    """Return a line as the user sees it, with its host if there are several hosts."""
    return f"{line.host}: {line.text}" if hosts > 1 else line.text


def clock(moment: float | None = None) -> str:
    """Return a time of day on this machine's clock."""
    return time.strftime("%H:%M:%S", time.localtime(moment))


def _pattern(text: str) -> str:
    """Return CloudWatch's pattern that matches a text literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
