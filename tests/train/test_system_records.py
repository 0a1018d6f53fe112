"""Records of the machine: the values from Linux and the control group, and the thread that records them."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from train.report import open_sampler
from train.report.proc import Machine

CORES = sorted(os.sched_getaffinity(0))


def laid_out(
    folder: Path, *, busy: int = 0, idle: int = 0, waiting: int = 0, received: int = 0, read: int = 0
) -> Machine:
    """Write the kernel's files: one network card, and a disk with a partition that counts the same bytes again."""
    proc, block = folder / "proc", folder / "block"
    (proc / "net").mkdir(parents=True, exist_ok=True)
    (block / "nvme0n1").mkdir(parents=True, exist_ok=True)
    (block / "loop0").mkdir(exist_ok=True)
    cores = [f"cpu{core} {busy} 0 0 {idle} {waiting} 0 0 0 0 0\n" for core in CORES]
    (proc / "stat").write_text(f"cpu  1 2 3 4 5 6 7 8 9 10\n{''.join(cores)}cpu9999 {busy} 0 0 0 0 0 0 0 0 0\nctxt 5\n")
    (proc / "meminfo").write_text("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n")
    (proc / "net/dev").write_text(
        f"Inter-|   Receive\n face |bytes\n    lo: 99999 0 0 0 0 0 0 0 99999 0\n  eth0: {received} 0 0 0 0 0 0 0 7 0 0 0\n"
    )
    disks = "".join(f"259 0 {name} 5 0 {read} 0 5 0 {2 * read} 0 0 0 0\n" for name in ("nvme0n1", "nvme0n1p1", "loop0"))
    (proc / "diskstats").write_text(disks)
    return Machine(proc=proc, cgroup=folder / "cgroup", block=block)


def test_cores_that_were_busy_half_of_the_time_are_at_50_percent(tmp_path: Path) -> None:
    machine = laid_out(tmp_path, busy=100, idle=900)
    first = machine.read()
    assert (first.cores, first.cpu, first.io_wait) == ({}, None, None)
    laid_out(tmp_path, busy=150, idle=925, waiting=25)
    reading = machine.read()
    assert reading.cores == dict.fromkeys(CORES, 50.0)  # no cores that this process may not use
    assert reading.cpu == 50.0 and reading.io_wait == 25.0


def test_bytes_become_rates_without_the_loopback_and_each_disk_counts_once(tmp_path: Path) -> None:
    machine = laid_out(tmp_path)
    assert set(machine.read().rates.values()) == {None}
    laid_out(tmp_path, received=1_000_000, read=1000)
    before = time.monotonic()
    time.sleep(0.1)
    rates = machine.read().rates
    assert rates["receive"] is not None and rates["disk_read"] is not None and rates["disk_write"] is not None
    assert 0 < rates["receive"] <= 1_000_000 / (0.99 * 0.1) and time.monotonic() > before
    assert rates["disk_read"] / rates["receive"] == pytest.approx(0.512)
    assert rates["disk_write"] / rates["disk_read"] == pytest.approx(2)
    assert rates["transmit"] == 0


def test_without_a_limit_the_memory_is_the_machines(tmp_path: Path) -> None:
    machine = laid_out(tmp_path)
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup/memory.max").write_text("max\n")
    assert (machine.memory_limit(), machine.read().memory, machine.cpu_limit()) == (1024 * 1000, 1024 * 600, None)


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limits_are_what_its_use_is_measured_by(tmp_path: Path, version: int) -> None:
    machine = laid_out(tmp_path)
    group = tmp_path / "cgroup"
    names = {
        2: ("memory.max", "memory.current", "memory.stat"),
        1: ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    }[version]
    cpu = {"cpu.max": "150000 100000\n", "cpu.stat": "usage_usec 0\nuser_usec 0\n"}
    if version == 1:
        cpu = {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n", "cpuacct/cpuacct.usage": "0\n"}
    inactive = (
        "inactive_file 1000\n" if version == 2 else "inactive_file 1\ntotal_inactive_file 1000\n".partition("\n")[2]
    )
    for name, text in zip(names, ("500000\n", "300000\n", f"anon 5\n{inactive}"), strict=True):
        (group / name).parent.mkdir(parents=True, exist_ok=True)
        (group / name).write_text(text)
    for name, text in cpu.items():
        (group / name).parent.mkdir(parents=True, exist_ok=True)
        (group / name).write_text(text)
    assert (machine.memory_limit(), machine.cpu_limit()) == (500_000, 1.5)
    assert machine.read().memory == 299_000
    used = "usage_usec 1000000000\n" if version == 2 else "1000000000000\n"
    (group / ("cpu.stat" if version == 2 else "cpuacct/cpuacct.usage")).write_text(used)
    assert machine.read().cpu == 100.0  # a share of the group's limit, not of the machine's cores


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    machine = Machine(proc=tmp_path, cgroup=tmp_path, block=tmp_path / "none")
    machine.read()
    reading = machine.read()
    assert (reading.cores, reading.cpu, reading.memory) == ({}, None, None)
    assert machine.memory_limit() is None and machine.cores() == []


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_thread_records_this_machine_until_it_is_closed(tmp_path: Path) -> None:
    begin = time.monotonic()
    sampler = open_sampler(tmp_path, "algo-1", 0.5)
    assert sampler is not None
    while len(sampler._columns._rows) < 3:
        time.sleep(0.05)
    sampler.close()
    took = time.monotonic() - begin
    assert not [thread for thread in threading.enumerate() if thread.name == "system records"]
    # A machine that is busy for over five seconds writes several records.
    one, *later = records(tmp_path / "system-algo-1.jsonl")
    assert (one["kind"], one["version"], one["host"], one["cores"]) == ("system", 1, "algo-1", len(CORES))
    times = [point for each in (one, *later) for point in each["times"]]
    # Ten points a second at first; a busy machine may miss some.
    assert 3 <= len(times) <= 10 * took + 1 and times == sorted(times)
    assert all(len(values) == len(one["times"]) for values in one.values() if isinstance(values, list) and values)
    assert 0 < one["memory_bytes"][-1] < one["memory_limit_bytes"]
    # Several cores may share a column.
    first = next(values for name, values in one.items() if name.startswith(f"cpu{CORES[0]}"))
    assert all(0 <= percent <= 100 for percent in (*one["cpu_percent"], *first) if percent is not None)
    assert one["gpu_memory_limit_bytes"] == []


def test_a_job_that_ends_before_the_first_point_is_due_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.report.system.START_INTERVAL", 600.0)
    sampler = open_sampler(tmp_path, "algo-1", 600.0)
    assert sampler is not None
    sampler.close()
    (one,) = records(tmp_path / "system-algo-1.jsonl")
    assert len(one["times"]) == len(one["memory_bytes"]) == 1 and one["memory_bytes"][0] > 0


def test_a_hosts_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    sampler = open_sampler(tmp_path / "data", "../algo 1", 0.5)
    assert sampler is not None
    sampler.close()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["system-.._algo_1.jsonl"]


def test_a_folder_that_cannot_be_written_to_costs_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert open_sampler(tmp_path / "file" / "data", "algo-1", 0.5) is None
    assert capsys.readouterr().err.startswith("there are no records of the system: ")


def test_the_training_program_records_its_machine_its_batches_and_its_steps(trained: Run) -> None:
    kinds = [one["kind"] for one in trained.records]
    assert kinds[-1] == "done" and {"steps", "batches"} <= set(kinds)
    (path,) = (trained.base / "output/data").glob("system-*.jsonl")
    assert path.name == "system-localhost.jsonl"
    assert sum(len(one["times"]) for one in records(path)) > 5
    job = trained.record("job")
    assert job["cores"] == len(CORES) and 1 <= job["loaders"] <= job["cores"]
    assert [sum(counts) for counts in job["class_photos"].values()] == list(job["photos"].values())
    batches = [one for one in trained.records if one["kind"] == "batches"]
    assert {one["stage"] for one in batches} == {"features"} and {one["split"] for one in batches} == set(job["photos"])
    assert sum(sum(one["photos"]) for one in batches) == sum(job["photos"].values())
