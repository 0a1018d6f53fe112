"""CloudWatch Logs: the output of containers, as streams that clients read while the containers run. moto holds them."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from moto.logs.models import LogGroup, LogStream, logs_backends

from local_test.sagemaker.settings import ACCOUNT

TRAINING = "/aws/sagemaker/TrainingJobs"
TRANSFORM = "/aws/sagemaker/TransformJobs"
ENDPOINTS = "/aws/sagemaker/Endpoints"
# Held while moto's logs change, because moto has no lock. Otherwise two threads that make the same group at the
# same moment would replace it.
LOCK = threading.Lock()
LONGEST = 256 * 1024  # the most bytes of one event (CloudWatch Logs quotas); the rest of a longer line is cut off


@dataclass(frozen=True)
class Tail:
    """The last lines of a stream."""

    stream: str
    lines: list[str]


class Stream:
    """One log stream; `write` adds lines."""

    def __init__(self, region: str, group: str, name: str) -> None:
        self.group = group
        self.name = name
        self._backend = logs_backends[ACCOUNT][region]
        with LOCK:
            # The dictionaries are replaced, because a request may be reading the old ones in its own thread.
            if group not in self._backend.groups:
                self._backend.groups = {**self._backend.groups, group: LogGroup(ACCOUNT, region, group)}
            found = self._backend.groups[group]
            if name not in found.streams:
                found.streams = {**found.streams, name: LogStream(found, name)}

    def write(self, lines: Iterable[str]) -> None:
        """Add lines; CloudWatch refuses an empty message, so an empty line is left out."""
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line[:LONGEST]} for line in lines if line]
        if events:
            with LOCK:
                self._backend.put_log_events(self.group, self.name, events)


class Logs:
    """The log streams of one region."""

    def __init__(self, region: str) -> None:
        self._region = region

    def stream(self, group: str, name: str) -> Stream:
        """Return a stream; create it if it does not exist."""
        return Stream(self._region, group, name)

    def names(self, group: str, prefix: str) -> list[str] | None:
        """Return a group's streams whose names begin with `prefix`, sorted; None if the group does not exist."""
        found = logs_backends[ACCOUNT][self._region].groups.get(group)
        return None if found is None else sorted(name for name in list(found.streams) if name.startswith(prefix))

    def tail(self, group: str, prefix: str, lines: int) -> list[Tail]:
        """Return the last lines of each stream of a group whose name begins with `prefix`."""
        names = self.names(group, prefix) or []
        streams = logs_backends[ACCOUNT][self._region].groups[group].streams if names else {}
        return [
            Tail(name, [event.message for event in streams[name].events[-lines:]] if lines else []) for name in names
        ]
