"""The FIFO through which the platform sends a channel in Pipe mode, and the waiting for its bytes."""

import io
import os
import select
import sys
import time
from pathlib import Path

from classifier.errors import ConfigError
from train import stop
from train.environment import PIPE_DEADLINE

_POLL_SECONDS = 0.2
_QUIET_SECONDS = 5.0  # seconds of waiting before a line in the log
_CHUNK = 1 << 20


class Fifo(io.RawIOBase):
    """Reads a FIFO that the platform may create late, and may begin to write even later.

    Reading raises ConfigError when no byte has come for the seconds of BYOC_PIPE_DEADLINE, and Stopped on SIGTERM.
    """

    def __init__(self, path: Path, channel: str) -> None:
        super().__init__()
        self._path, self._channel, self._seconds = path, channel, PIPE_DEADLINE.read()
        self._descriptor = -1
        self._ahead = b""

    def begin(self, count: int) -> bytes:
        """Return the first `count` bytes, or fewer if there are no more. Later reads return them again."""
        first = b""
        while len(first) < count and (data := self._next(count - len(first))):
            first += data
        self._ahead = first
        return first

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        data = self._ahead[: len(view)] or self._next(len(view))
        self._ahead = self._ahead[len(view) :]
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()

    def _next(self, count: int) -> bytes:
        start, printed = time.monotonic(), False
        while True:
            if stop.requested.is_set():
                raise stop.Stopped(f"stopped by SIGTERM while the channel {self._channel!r} was read")
            if self._ready():
                break
            waited = time.monotonic() - start
            if not printed and waited > _QUIET_SECONDS:
                printed = True
                print(f"waiting up to {self._seconds:g} s for the channel {self._channel}", file=sys.stderr, flush=True)
            if waited >= self._seconds:
                raise ConfigError(
                    f"no byte came through {self._path} for {self._seconds:g} s, so the channel {self._channel!r} has no photos; "
                    f"check its S3 address, or set {PIPE_DEADLINE.name} to more seconds"
                )
        try:
            return os.read(self._descriptor, min(count, _CHUNK))
        except OSError as error:
            raise self._unreadable(error) from error

    def _ready(self) -> bool:
        """Open the FIFO unless it is open, wait a moment, and return whether a byte or the end can be read."""
        if self._descriptor < 0:
            try:
                # Trap: without O_NONBLOCK this blocks until somebody writes. With it, a read before that looks like the end.
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
            except FileNotFoundError:
                time.sleep(_POLL_SECONDS)
                return False
            except OSError as error:
                raise self._unreadable(error) from error
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(1000 * _POLL_SECONDS))

    def _unreadable(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self._path} cannot be read ({error.strerror}); make it a FIFO that you may read")
