"""The photos' bytes in one local file, so that a photo behind a slow mount is opened only once."""

import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from classifier.errors import DataError
from classifier.images import read_photo


class Pack:
    """Photos' bytes, found by the photo's path. They are in the temporary folder, in a file without a name.

    The file is gone when the last process that holds it ends. Several threads may add at once. A forked process can read what
    was added before the fork.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the pack
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._lock = threading.Lock()

    def add(self, path: Path, data: bytes) -> None:
        """Keep a photo's bytes, unless they are kept already; raises DataError when the disk is full."""
        with self._lock:
            if str(path) in self._places:
                return
            offset = self._end
            self._end += len(data)
        try:
            write_at(self._file.fileno(), data, offset)
        except OSError as error:
            raise DataError(
                f"the photos' bytes do not fit into {tempfile.gettempdir()} ({error.strerror}); give the job a larger volume "
                "or the channel the input mode File"
            ) from error
        # The entry is added after the bytes are written, because another thread may read them at once.
        self._places[str(path)] = (
            offset,
            len(data),
        )

    def read(self, path: Path) -> bytes:
        """Return a photo's bytes, from its own file if they were not added; raises PhotoError if this file cannot be read."""
        place = self._places.get(str(path))
        if place is None:
            return read_photo(path)
        offset, length = place
        # pread does not move the file's position, which forked processes share.
        return os.pread(self._file.fileno(), length, offset)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def __enter__(self) -> "Pack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`; raises OSError when the disk is full."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
