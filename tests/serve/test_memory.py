"""The memory limits of the kernel's control groups, of both versions, in folders like the kernel's."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from serve.memory import memory_left, memory_limit, resident

MB = 1024 * 1024


@pytest.fixture(params=["version 1", "version 2"])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A control group with a limit of 100 MB: 90 MB are used, of which 30 MB are inactive file cache."""
    if request.param == "version 2":
        (tmp_path / "memory.max").write_text(f"{100 * MB}\n")
        (tmp_path / "memory.current").write_text(f"{90 * MB}\n")
        (tmp_path / "memory.stat").write_text(f"anon {50 * MB}\nfile {40 * MB}\ninactive_file {30 * MB}\n")
    else:
        memory = tmp_path / "memory"
        memory.mkdir()
        (memory / "memory.limit_in_bytes").write_text(f"{100 * MB}\n")
        (memory / "memory.usage_in_bytes").write_text(f"{90 * MB}\n")
        # The first values are the group's own; the values with total_ include the groups below it, and these are used.
        text = f"cache {40 * MB}\ninactive_file {MB}\ntotal_cache {40 * MB}\ntotal_inactive_file {30 * MB}\n"
        (memory / "memory.stat").write_text(text)
    return tmp_path


def test_files_that_are_only_cached_count_as_free(group: Path) -> None:
    assert memory_limit(group) == 100 * MB
    assert memory_left(group) == 40 * MB


def test_of_a_group_over_its_limit_nothing_is_left(group: Path) -> None:
    for used in group.rglob("memory.[cu]*"):
        used.write_text(f"{131 * MB}\n")
    assert memory_left(group) == 0


def test_without_statistics_all_that_is_used_counts(group: Path) -> None:
    for statistics in group.rglob("memory.stat"):
        statistics.unlink()
    assert memory_left(group) == 10 * MB


def test_without_what_is_used_the_machines_memory_is_left(group: Path) -> None:
    for used in group.rglob("memory.[cu]*"):
        used.unlink()
    assert memory_left(group) > 0


def test_without_a_limit_the_machines_memory_is_the_limit(tmp_path: Path) -> None:
    total = psutil.virtual_memory().total
    assert memory_limit(tmp_path) == total
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{total}\n")
    assert memory_limit(tmp_path) == total
    assert 0 < memory_left(tmp_path) <= total
    (tmp_path / "memory.max").write_text(f"{2 * total}\n")
    assert memory_limit(tmp_path) == total


def test_the_memory_of_processes_that_a_process_started_counts_with_its_own() -> None:
    hold = "data = bytearray(b'x') * 100_000_000; print(flush=True); input()"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen([sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert 100_000_000 < resident(process.pid) < 300_000_000
        assert resident(os.getpid()) > psutil.Process().memory_info().rss + 100_000_000  # the child's child is included
        process.communicate(b"\n")


def test_a_process_that_has_just_ended_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        subprocess.Popen(["true"]) as ended,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as living,
    ):
        assert living.stdin and living.stdout
        living.stdin.write(b"x")
        assert living.stdout.read(1) == b"x"  # from now on it only waits, and its memory stays as it is
        # List the living process 2,000 times, so that its memory exceeds this process's.
        children = [psutil.Process(ended.pid), *[psutil.Process(living.pid)] * 2000]
        ended.wait()
        # Simulate a process that ends after it is listed and before its memory is read.
        monkeypatch.setattr(psutil.Process, "children", lambda process, recursive: children)
        assert resident(os.getpid()) > 2000 * children[1].memory_info().rss
        living.kill()
