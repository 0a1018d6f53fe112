"""Reads Linux's reports about this machine in /proc, and about this container in the files of its control group.

The counters only grow, so a rate is the difference between two readings. The first reading gives no rates.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512  # bytes, in /proc/diskstats
# Devices that are not disks, or that represent other devices, whose bytes would count twice.
NOT_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd")
# Files of the kernel's control groups: first of version 2, then of version 1.
LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
USED = ("memory.current", "memory/memory.usage_in_bytes")
STATS = ("memory.stat", "memory/memory.stat")
CPU_LIMIT, CPU_USED = "cpu.max", "cpu.stat"
CPU_LIMIT_V1, CPU_USED_V1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"), "cpuacct/cpuacct.usage"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The machine's rates since the previous reading, and its present values; None for values that could not be read.

    Percentages are from 0 to 100. `cores` are those that this process may use, by their number in the kernel.
    """

    cores: Mapping[int, float]
    cpu: float | None  # the share of the processor time that this container may use
    io_wait: float | None  # the share of time in which the core that waited most waited for I/O
    memory: float | None  # bytes in use, without the kernel's file cache
    rates: Mapping[str, float | None]  # bytes each second: receive, transmit, disk_read, disk_write


@dataclass(kw_only=True)
class Machine:
    """Reads the files below `proc`, `cgroup` and `block`; tests pass their own folders."""

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")
    block: Path = Path("/sys/block")
    _cores: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # busy, waiting for I/O, all
    _bytes: dict[str, int] = field(default_factory=dict)
    _used: float | None = None  # seconds on processors, of the container
    _time: float | None = None

    def memory_limit(self) -> int | None:
        """Return the bytes of memory that this container may use at most."""
        total = _meminfo(self.proc).get("MemTotal")
        limits = [limit for limit in (total, _number(self.cgroup, LIMITS)) if limit is not None]
        return min(limits, default=None)

    def cores(self) -> list[int]:
        """Return the numbers of the cores that this process may use and whose times the kernel reports."""
        return sorted(self._counted_cores())

    def cpu_limit(self) -> float | None:
        """Return how many cores' time this container may use at most; None without such a limit."""
        quota, period = (*" ".join(_lines(self.cgroup / CPU_LIMIT)).split(), "", "")[:2]
        if not quota:
            quota, period = (" ".join(_lines(self.cgroup / name)) for name in CPU_LIMIT_V1)
        known = quota.isdigit() and period.isdigit() and int(period) > 0  # "max" and -1 mean that there is no limit
        return int(quota) / int(period) if known else None

    def read(self) -> Reading:
        """Return the rates since the last call, and the present values."""
        cores, bytes_, now = self._counted_cores(), self._counted_bytes(), time.monotonic()
        shares = {
            number: _shares(self._cores[number], counts) for number, counts in cores.items() if number in self._cores
        }
        elapsed = now - self._time if self._time is not None else 0.0
        rates = {
            name: max(0, count - self._bytes[name]) / elapsed if elapsed > 0 and name in self._bytes else None
            for name, count in bytes_.items()
        }
        busy = {number: percent for number, (percent, _) in shares.items()}
        cpu = sum(busy.values()) / len(busy) if busy else None
        used, limit = self._counted_seconds(), self.cpu_limit()
        if limit and used is not None and self._used is not None and elapsed > 0:
            cpu = min(100.0, 100 * max(0.0, used - self._used) / (elapsed * limit))
        self._cores, self._bytes, self._time, self._used = cores, bytes_, now, used
        return Reading(
            cores=busy,
            cpu=cpu,
            io_wait=max((wait for _, wait in shares.values()), default=None),
            memory=self._memory(),
            rates=rates,
        )

    def _counted_cores(self) -> dict[int, tuple[int, int, int]]:
        mine, found = os.sched_getaffinity(0), {}
        for line in _lines(self.proc / "stat"):
            name, *numbers = line.split()
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in mine and len(numbers) >= 8:
                # proc(5): user, nice, system, idle, iowait, irq, softirq, steal. The time of guests is a part of user.
                counts = [int(number) for number in numbers[:8]]
                idle, waiting = counts[3], counts[4]
                found[int(name[3:])] = sum(counts) - idle - waiting, waiting, sum(counts)
        return found

    def _counted_bytes(self) -> dict[str, int]:
        totals = dict.fromkeys(("receive", "transmit", "disk_read", "disk_write"), 0)
        for line in _lines(self.proc / "net/dev"):
            name, _, numbers = line.partition(":")
            counts = numbers.split()
            if len(counts) >= 9 and name.strip() != "lo":
                totals["receive"] += int(counts[0])
                totals["transmit"] += int(counts[8])
        try:
            disks = {path.name for path in self.block.iterdir() if not path.name.startswith(NOT_DISKS)}
        except OSError:
            disks = set()
        for line in _lines(self.proc / "diskstats"):
            fields = line.split()
            if len(fields) >= 10 and fields[2] in disks:
                totals["disk_read"] += SECTOR * int(fields[5])
                totals["disk_write"] += SECTOR * int(fields[9])
        return totals

    def _counted_seconds(self) -> float | None:
        """Return the time that all processes of the container were on processors."""
        for line in _lines(self.cgroup / CPU_USED):
            key, _, value = line.partition(" ")
            if key == "usage_usec" and value.isdigit():
                return int(value) / 1e6
        nanoseconds = _number(self.cgroup, (CPU_USED_V1,))
        return None if nanoseconds is None else nanoseconds / 1e9

    def _memory(self) -> float | None:
        """Return the bytes in use: the container's if it has a limit, else the machine's."""
        info = _meminfo(self.proc)
        total, available = info.get("MemTotal"), info.get("MemAvailable")
        limit, used = _number(self.cgroup, LIMITS), _number(self.cgroup, USED)
        if used is not None and limit is not None and (total is None or limit < total):
            return max(0, used - _inactive_file(self.cgroup))
        return None if total is None or available is None else total - available


def _shares(before: tuple[int, int, int], now: tuple[int, int, int]) -> tuple[float, float]:
    """Return how busy a core was and how long it waited for I/O, in percent."""
    busy, waiting, total = (later - earlier for earlier, later in zip(before, now, strict=True))
    if total <= 0:
        return 0.0, 0.0
    return tuple(min(100.0, max(0.0, 100 * part / total)) for part in (busy, waiting))  # type: ignore[return-value]


def _lines(path: Path) -> Iterable[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return ()


def _meminfo(proc: Path) -> dict[str, int]:
    """Return the sizes in /proc/meminfo, in bytes."""
    found = {}
    for line in _lines(proc / "meminfo"):
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable") and (parts := rest.split()):
            found[name] = 1024 * int(parts[0])
    return found


def _number(root: Path, names: tuple[str, ...]) -> int | None:
    """Return the number in the first of these files that holds one; the text "max" means that there is no limit."""
    for name in names:
        for line in _lines(root / name):
            if line.strip().isdigit():
                return int(line)
    return None


def _inactive_file(root: Path) -> int:
    for name in STATS:
        for line in _lines(root / name):
            key, _, value = line.partition(" ")
            if key in ("inactive_file", "total_inactive_file") and value.strip().isdigit():
                return int(value)
    return 0
