"""The bytes of an object, or a part of them, in a file. They are never in memory as a whole."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from moto.s3.utils import compute_checksum

BLOCK = 1 << 18
ROOM = 8 << 20  # bytes that stay free for jobs and the index, so that objects can still be deleted if the disk is full


class _Open:
    """An open file; it stays readable when another file replaces it."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class FileBytes:
    """Replaces an object's bytes in moto: it has a length, can be sliced, and is sent block by block."""

    def __init__(self, path: Path, start: int = 0, end: int | None = None, opened: _Open | None = None) -> None:
        self._path = path
        self._opened = opened or _Open(path)
        self._start = start
        self._end = os.fstat(self._opened.number).st_size if end is None else end

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, wanted: slice) -> "FileBytes":
        start, end, _ = wanted.indices(len(self))
        return FileBytes(self._path, self._start + start, self._start + max(start, end), self._opened)

    def __iter__(self) -> Iterator[bytes]:
        place = self._start
        while place < self._end and (block := os.pread(self._opened.number, min(BLOCK, self._end - place), place)):
            place += len(block)
            yield block

    def __bytes__(self) -> bytes:
        return b"".join(self)

    def decode(self, encoding: str = "utf-8") -> str:
        return bytes(self).decode(encoding)

    def write_to(self, path: Path) -> None:
        """Copy the bytes to a new file, in the kernel."""
        with path.open("wb") as target:
            place = self._start
            while place < self._end:
                copied = os.copy_file_range(self._opened.number, target.fileno(), self._end - place, place)
                if not copied:
                    return
                place += copied


def checksum(body: bytes | FileBytes, algorithm: str, encode_base64: bool = True) -> bytes:
    """Return the same checksum as moto's function of this name, also for a file."""
    found: bytes = compute_checksum(bytes(body), algorithm=algorithm, encode_base64=encode_base64)
    return found


def write(content: bytes | FileBytes, path: Path) -> None:
    """Write an object's bytes to a new file; if the disk is full, remove the file."""
    need_room(path.parent, len(content))
    try:
        if isinstance(content, FileBytes):
            content.write_to(path)
        else:
            path.write_bytes(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def need_room(folder: Path, size: int) -> None:
    """Raise OSError if `size` more bytes would fill the disk."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < size + ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def clear_way(path: Path, top: Path) -> None:
    """Remove the folders above `path` that are empty, up to `top`."""
    for folder in path.parents:
        if folder == top or not folder.is_relative_to(top):
            return
        try:
            folder.rmdir()
        except OSError:
            return
