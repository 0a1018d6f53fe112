"""Memory: the container's limit, the part that is left, and the errors that mean too little memory."""

import errno
import os
from pathlib import Path

import psutil

from classifier.errors import UserError

NO_ROOM_STATUS = 3  # the exit status of serve.prepare if the memory or the disk was too small
# Words in errors of torch and OpenVINO that say that memory was too small. The last two are in the names of errors of cuBLAS and cuDNN.
_NO_MEMORY = ("out of memory", "allocate memory", "bad_alloc", "alloc_failed", "allocation_failed")
# Files of the kernel's control groups: first of version 2, then of version 1.
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
_USED = ("memory.current", "memory/memory.usage_in_bytes")
_STATS = ("memory.stat", "memory/memory.stat")
_CGROUP = Path("/sys/fs/cgroup")


class NoRoom(UserError):
    """There is too little memory or disk space for a model."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, torch or OpenVINO says that there was too little memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def no_room(error: BaseException) -> bool:
    """Return whether an error says that memory or the disk was too small."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM):
        return True
    # safetensors and OpenVINO write files themselves, and raise their own error types with the system's words.
    text = str(error).lower()
    return out_of_memory(error) or any(os.strerror(number).lower() in text for number in (errno.ENOSPC, errno.EDQUOT))


def memory_limit(root: Path = _CGROUP) -> int:
    """Return the bytes of memory that this container may use at most."""
    total: int = psutil.virtual_memory().total
    return min([total, *_numbers(root, _LIMITS)])


def memory_left(root: Path = _CGROUP) -> int:
    """Return the bytes of memory that are left, including the kernel's file cache."""
    left: int = psutil.virtual_memory().available
    limits, used = _numbers(root, _LIMITS), _numbers(root, _USED)
    if limits and used:
        left = min(left, limits[0] - used[0] + _inactive_file(root))
    return max(0, left)


def resident(pid: int) -> int:
    """Return the resident bytes of a process and of all processes below it."""
    total = 0
    process = psutil.Process(pid)
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _numbers(root: Path, names: tuple[str, ...]) -> list[int]:
    found = []
    for name in names:
        try:
            text = (root / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # the text "max" means that there is no limit
            found.append(int(text))
    return found


def _inactive_file(root: Path) -> int:
    for name in _STATS:
        try:
            lines = (root / name).read_text().splitlines()
        except OSError:
            continue
        values = dict(line.split() for line in lines)
        return int(values.get("total_inactive_file", values.get("inactive_file", 0)))
    return 0
