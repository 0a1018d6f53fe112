"""Disk and GPUs in /metrics; a stand-in for nvidia-ml-py reports the GPUs, so the test needs no GPU."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from serve import devices
from serve.devices import Gpu
from serve.metrics import Metrics
from tests import nvml


def lines(metrics: Metrics, beginning: str) -> dict[str, float]:
    found = [line for line in metrics.text().decode().splitlines() if line.startswith(beginning)]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in found)}


def test_the_disk_is_as_full_as_df_says() -> None:
    usage = shutil.disk_usage(tempfile.gettempdir())
    (found,) = lines(Metrics(lambda: (0, 0)), "byoc_disk").values()
    assert found == pytest.approx(usage.used / (usage.used + usage.free), abs=0.01)


def test_the_fullest_of_several_disks_counts_and_a_folder_that_is_not_there_does_not(tmp_path: Path) -> None:
    here, memory = devices.disk_used([tmp_path]), devices.disk_used([Path("/dev/shm")])
    assert here is not None and memory is not None
    assert devices.disk_used([tmp_path, Path("/dev/shm"), tmp_path / "gone"]) == pytest.approx(
        max(here, memory), abs=0.01
    )
    assert devices.disk_used([tmp_path / "gone"]) is None


def test_a_machine_without_the_package_or_without_a_driver_has_no_metrics_of_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert devices.gpus() == [] and lines(Metrics(lambda: (0, 0)), "byoc_gpu") == {}
    nvml.install(monkeypatch, [(50, 1, 2)], driver=False)
    assert devices.gpus() == []


def test_each_gpu_has_its_use_and_its_memory_in_bytes_under_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.install(monkeypatch, [(83, 5 * 10**9, 16 * 10**9), (0, 10**9, 16 * 10**9)])
    assert lines(Metrics(lambda: (0, 0)), "byoc_gpu") == {
        'byoc_gpu_busy_ratio{gpu="0"}': 0.83,
        'byoc_gpu_busy_ratio{gpu="1"}': 0.0,
        'byoc_gpu_memory_used_bytes{gpu="0"}': 5e9,
        'byoc_gpu_memory_used_bytes{gpu="1"}': 1e9,
        'byoc_gpu_memory_size_bytes{gpu="0"}': 16e9,
        'byoc_gpu_memory_size_bytes{gpu="1"}': 16e9,
    }


def test_what_a_gpu_does_not_tell_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.install(monkeypatch, [(None, 5, 16)])
    assert devices.gpus() == [Gpu(busy=None, memory_used=5, memory_size=16)]
    assert not lines(Metrics(lambda: (0, 0)), "byoc_gpu_busy")
