"""Records of the machine, taken by a thread: one file for each host, beside the job's records."""

import re
import sys
import threading
import time
from pathlib import Path

from train.report.columns import Columns
from train.report.gpus import Gpus
from train.report.proc import Machine, Reading
from train.report.records import Records

START_SECONDS = 10.0  # in this time a point is taken every START_INTERVAL seconds, later every INTERVAL
START_INTERVAL = 0.1
INTERVAL = 0.5
GROUPS = 16  # the most columns of cores; on larger machines, neighbouring cores share one
RATES = ("receive", "transmit", "disk_read", "disk_write")


class Sampler:
    """A thread that measures this host until it is closed. If it cannot write, it prints one line and ends."""

    def __init__(self, folder: Path, host: str, interval: float) -> None:
        self._interval = interval
        self._machine, self._gpus = Machine(), Gpus()
        self._closed = threading.Event()
        cores = self._machine.cores()
        size = -(-len(cores) // GROUPS)
        self._groups = [cores[start : start + size] for start in range(0, len(cores), size)] if cores else []
        self._records = Records(folder, f"system-{re.sub(r'[^A-Za-z0-9._-]', '_', host)}.jsonl")
        self._about = {
            "host": host,
            "cores": len(cores),
            "cpu_limit_cores": self._machine.cpu_limit(),
            "memory_limit_bytes": self._machine.memory_limit(),
            "gpu_memory_limit_bytes": self._gpus.memory_limits(),
        } | ({"gpus_missing": self._gpus.missing} if self._gpus.missing else {})
        self._columns = Columns(self._records, "system", ("times", *self._names()))
        self._thread = threading.Thread(target=self._run, name="system records", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the waiting rows, and end the thread."""
        self._closed.set()
        self._thread.join()

    def _names(self) -> list[str]:
        cores = [f"cpu{group[0]}" if len(group) == 1 else f"cpu{group[0]}-{group[-1]}" for group in self._groups]
        gpus = [
            f"gpu{number}_{name}"
            for number in range(self._gpus.count)
            for name in ("percent", "memory_activity_percent", "memory_bytes")
        ]
        return [*cores, "cpu_percent", "busiest_core_percent", "io_wait_percent", "memory_bytes", *RATES, *gpus]

    def _run(self) -> None:
        started = due = time.monotonic()
        self._machine.read()  # the first reading gives no rates
        taken = 0
        try:
            while True:
                due += min(self._interval, START_INTERVAL) if due - started < START_SECONDS else self._interval
                # A short job has a point too, also on a machine so busy that this thread got no time before the job's end.
                if self._closed.wait(max(0.0, due - time.monotonic())) and taken:
                    break
                taken += 1
                # Points that were missed because other processes used the cores are not made up for later.
                due = max(due, time.monotonic())
                self._columns.add([round(time.time(), 3), *self._row(self._machine.read())], self._about)
            self._columns.flush()
            self._records.close()
        except Exception as error:  # a full disk, a lost GPU, or a kernel with other files; training goes on
            print(
                f"the records of the system end here: {' '.join(str(error).split())[:200]}", file=sys.stderr, flush=True
            )

    def _row(self, reading: Reading) -> list[float | None]:
        held = [[reading.cores[core] for core in group if core in reading.cores] for group in self._groups]
        cores = [round(sum(group) / len(group), 1) if group else None for group in held]
        cpu = None if reading.cpu is None else round(reading.cpu, 1)
        busiest = round(max(reading.cores.values()), 1) if reading.cores else None
        waiting = None if reading.io_wait is None else round(reading.io_wait, 1)
        rates = [None if (rate := reading.rates.get(name)) is None else round(rate) for name in RATES]
        row = [*cores, cpu, busiest, waiting, reading.memory, *rates]
        for gpu in self._gpus.read():
            row += [gpu.use, gpu.memory_activity, gpu.memory_bytes]
        return row


def open_sampler(folder: Path, host: str, interval: float | None) -> Sampler | None:
    """Return a sampler that has begun, every `interval` seconds after its start; None if it is not requested, or not possible."""
    if interval is None:
        return None
    try:
        return Sampler(folder, host, interval)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"there are no records of the system: {error}", file=sys.stderr, flush=True)
        return None
