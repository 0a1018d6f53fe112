"""Several hosts: one dies, cannot be reached or has other photos. The others end with the reason."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import run_training, wait_for_line
from tests.hosts import ENDLESS, JOB, job, kill_host, namespaces, needs_ip
from tests.ports import free_port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.slow
@pytest.mark.parametrize("dying", [0, 1])
def test_when_a_host_dies_the_other_ends_and_says_why(tiny: Path, tmp_path: Path, port: int, dying: int) -> None:
    hosts = ("127.0.0.1", "127.0.0.2")
    with job(tmp_path, tiny, ENDLESS, hosts, port) as processes:
        wait_for_line(processes[0], "epoch=4 ")
        kill_host(processes[dying])
        output, _ = processes[1 - dying].communicate(timeout=300)
        assert processes[1 - dying].returncode == 1, output
    failure = (tmp_path / hosts[1 - dying] / "output" / "failure").read_text()
    assert re.match("another process of the job ended|the chief host does not answer", failure)


@pytest.mark.slow
def test_a_process_that_a_signal_ends_leaves_the_signals_name(tiny: Path, tmp_path: Path, port: int) -> None:
    hosts = ("127.0.0.1", "127.0.0.2")
    with job(tmp_path, tiny, ENDLESS, hosts, port) as processes:
        wait_for_line(processes[0], "epoch=4 ")
        (trainer,) = Path(f"/proc/{processes[1].pid}/task/{processes[1].pid}/children").read_text().split()
        os.kill(int(trainer), signal.SIGABRT)
        outputs = [process.communicate(timeout=300)[0] for process in processes]
        assert [process.returncode for process in processes] == [1, 1], outputs
    failure = (tmp_path / hosts[1] / "output" / "failure").read_text()
    assert failure.startswith("process 1 of the job was ended by the signal SIGABRT: "), failure
    assert "Traceback" not in outputs[1]


def failures(folder: Path, processes: "list[subprocess.Popen[str]]", hosts: Sequence[str]) -> set[str]:
    """Return the failure texts of hosts that have all failed without a traceback."""
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [1] * len(hosts), outputs
    assert not any("Traceback" in output or "IndexError" in output for output in outputs), outputs
    return {(folder / host / "output" / "failure").read_text() for host in hosts}


def test_a_channel_of_which_each_host_holds_a_part_is_refused_by_name_on_every_host(
    tiny: Path, tmp_path: Path, port: int
) -> None:
    hosts = ("127.0.0.1", "127.0.0.2")
    with job(tmp_path, tiny, JOB, hosts, port, distribution="ShardedByS3Key") as processes:
        (failure,) = failures(tmp_path, processes, hosts)
    assert failure.startswith(
        "the channel 'training' has the S3DistributionType ShardedByS3Key, so that each of the 2 hosts"
    )
    assert "use FullyReplicated" in failure and "FastFile" in failure


def without(photos: Path, folder: Path, *left_out: str) -> Path:
    """Copy a folder of photos without some files."""
    shutil.copytree(photos, folder)
    for name in left_out:
        for path in list(folder.glob(name)):
            path.unlink()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        # The platform shards in the order of keys, so a host may have no photo of a class, or photos of one class only.
        (("test/coffee/*", "train/coffee/*", "validation/coffee/*"), "127.0.0.2 cannot use its photos (.* only the class 'brick'"),
        (("validation/*/001.jpg",), "127.0.0.2 lacks 2 of the 16 photos of 127.0.0.1, first input/data/training/validation/brick"),
    ],
)  # fmt: skip
def test_hosts_that_hold_different_photos_all_name_the_difference(
    tiny: Path, tmp_path: Path, port: int, left_out: tuple[str, ...], message: str
) -> None:
    hosts = ("127.0.0.1", "127.0.0.2")
    other = without(tiny, tmp_path / "other", *left_out)
    with job(tmp_path, (tiny, other), JOB, hosts, port) as processes:
        (failure,) = failures(tmp_path, processes, hosts)
    assert re.search(f"^the hosts hold different photos: .*{message.replace('(', '[(]')}", failure), failure
    assert failure.endswith("give all hosts the same photos, with S3DistributionType FullyReplicated in each channel")


@pytest.mark.slow
def test_the_same_fault_on_all_hosts_is_reported_as_on_one(tiny: Path, tmp_path: Path, port: int) -> None:
    shutil.rmtree(tiny / "train" / "coffee")
    hosts = ("127.0.0.1", "127.0.0.2")
    with job(tmp_path, tiny, JOB, hosts, port) as processes:
        assert all("/train holds only the class 'brick'" in one for one in failures(tmp_path, processes, hosts))


@needs_ip
@pytest.mark.long
def test_a_host_whose_network_goes_silent_is_noticed(tiny: Path, tmp_path: Path, port: int) -> None:
    hosts = (f"algo-1-{os.getpid()}", f"algo-2-{os.getpid()}")
    prefixes = [("ip", "netns", "exec", host) for host in hosts]
    with (
        namespaces(hosts),
        job(tmp_path, tiny, ENDLESS, hosts, port, prefixes=prefixes, interface="eth0") as processes,
    ):
        wait_for_line(processes[0], "epoch=4 ")
        subprocess.run(["ip", "-n", hosts[1], "link", "set", "eth0", "down"], check=True)
        output, _ = processes[0].communicate(timeout=300)
        assert processes[0].returncode == 1, output
    failure = (tmp_path / hosts[0] / "output" / "failure").read_text()
    assert "has been silent for 30 seconds" in failure


@pytest.mark.slow
@pytest.mark.host("a container may not make a network namespace")
def test_a_host_that_cannot_be_found_is_named_at_the_deadline(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    (base / "input" / "config").mkdir(parents=True)
    resources = {"current_host": "localhost", "hosts": ["localhost", "missing.invalid"], "network_interface_name": "lo"}
    (base / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
    # A separate network namespace, so that no name server is asked.
    alone = ("unshare", "--map-root-user", "--net")
    run = run_training(base, {"training": tiny}, JOB, prefix=alone, environment={"BYOC_HOSTS_DEADLINE": "3"})
    assert run.status == 1
    assert "missing.invalid" in run.failure and "BYOC_HOSTS_DEADLINE" in run.failure and "Traceback" not in run.errors
