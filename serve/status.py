"""The status files of a model's workers: each worker writes the progress of its loading, and the front reads it.

The model server always reports its workers as healthy, so the front trusts only these files. They are in the folder `status` of the
model's folder:

| file | written when | holds |
| --- | --- | --- |
| `<pid>.loading` | the worker with this process id begins to load the model | nothing |
| `<pid>.ready` | the model is loaded and has passed its self-test; takes the place of `<pid>.loading` | nothing |
| `failed` | a worker cannot load the model; takes the place of `<pid>.loading` | a Failure as JSON |
"""

import contextlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import ArtifactError, UserError
from serve.memory import NoRoom

STATUS = "status"  # the folder's name
FAILED = "failed"
DEATHS = 3  # after this many workers have ended while they loaded the model, no other is expected to succeed


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a worker cannot load its model."""

    reason: str  # one sentence
    no_room: bool = False  # whether there is too little memory; otherwise the model or its code is at fault

    def error(self) -> UserError:
        """Return the failure as the error that the front raises."""
        return (NoRoom if self.no_room else ArtifactError)(self.reason)


class StatusWriter:
    """Writes the progress of this process, a worker, in loading the model; `folder` is the model's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / STATUS
        self._loading = self._folder / f"{os.getpid()}.loading"

    def loading(self) -> None:
        """Report that the loading begins."""
        self._loading.touch()

    def ready(self) -> None:
        """Report that the model is loaded and has passed its self-test."""
        self._loading.rename(self._loading.with_suffix(".ready"))

    def failed(self, failure: Failure) -> None:
        """Report why the model cannot be loaded."""
        temporary = self._folder / f".{FAILED}.{os.getpid()}"  # written in one step, so that nobody reads half a file
        temporary.write_text(json.dumps(vars(failure)))
        temporary.replace(self._folder / FAILED)
        self._loading.unlink(missing_ok=True)


class StatusReader:
    """Reads the status files that a model's workers write into its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / STATUS
        self._seen: set[int] = set()
        self.unloading = False  # workers are ended on purpose

    def create(self) -> None:
        """Make the folder, and those above it, for workers that will start."""
        self._folder.mkdir(parents=True)

    @property
    def seen(self) -> int:
        """The number of workers that have ever been ready."""
        return len(self._seen)

    def ready(self) -> int:
        """Return how many workers are alive and have loaded the model; log the workers that have ended since the last call."""
        count = 0
        for pid, mark in self._marks("ready").items():
            self._seen.add(pid)
            if alive(pid):
                count += 1
            else:
                mark.unlink(missing_ok=True)
                if not self.unloading:
                    logging.warning("worker %d ended", pid)
        return count

    def loading(self) -> list[int]:
        """Return the process ids of the workers that are alive and loading the model."""
        return [pid for pid in self._marks("loading") if alive(pid)]

    def failure(self) -> UserError | None:
        """Return why no worker will be able to load the model; None if a worker may still load it."""
        # Read these before the ready ones, because otherwise a worker that becomes ready in between would be missed.
        loading = self._marks("loading")
        dead = [mark for pid, mark in loading.items() if not alive(pid)]
        if self.ready():
            # Workers are serving, so earlier failures are out of date; forget them.
            for mark in (*dead, self._folder / FAILED):
                mark.unlink(missing_ok=True)
            return None
        with contextlib.suppress(FileNotFoundError):
            return Failure(**json.loads((self._folder / FAILED).read_text())).error()
        if len(dead) >= DEATHS and len(dead) == len(loading):
            return NoRoom(f"{len(dead)} workers ended while they loaded the model, most likely because memory ran out")
        return None

    def _marks(self, kind: str) -> dict[int, Path]:
        return {int(mark.stem): mark for mark in self._folder.glob(f"*.{kind}")}


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie, which still takes signals, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
