"""Memory that this container may use, and what of it is left, from the kernel's control groups and /proc."""

from pathlib import Path

import psutil

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # version 2, version 1
_USED = ("memory.current", "memory/memory.usage_in_bytes")
_STATS = ("memory.stat", "memory/memory.stat")
_CGROUP = Path("/sys/fs/cgroup")


def memory_limit(root: Path = _CGROUP) -> int:
    """Return the bytes of memory that this container may use at most."""
    total: int = psutil.virtual_memory().total
    return min([total, *_numbers(root, _LIMITS)])


def memory_left(root: Path = _CGROUP) -> int:
    """Return the bytes of memory that can still be had, files that the kernel only caches among them."""
    left: int = psutil.virtual_memory().available
    limits, used = _numbers(root, _LIMITS), _numbers(root, _USED)
    if limits and used:
        left = min(left, limits[0] - used[0] + _inactive_file(root))
    return max(0, left)


def resident(pid: int) -> int:
    """Return the resident bytes of a process and all that it started."""
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
        if text.isdigit():  # else "max"
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
