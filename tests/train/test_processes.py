"""Several hosts: the real program once for each host, on loopback and in separate network namespaces."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.launcher.api import LaunchConfig

from launch.opt_ml import lay_out
from tests.conftest import run_training, terminate, wait_for_line
from tests.ports import free_port
from train.contract import Job
from train.places import Places
from train.processes import run_torchrun

JOB = {
    "backbone": "timm/test_efficientnet",
    "weights": "random",
    "precision": "fp32",
    "epochs": "3",
    "batch-size": "3",
    "finetune-epochs": "2",
    "finetune-batch-size": "3",
    "finetune-lr": "0.003",
}
ENDLESS = JOB | {"finetune-epochs": "10000"}


@pytest.fixture
def port() -> int:
    return free_port()


@contextlib.contextmanager
def job(
    folder: Path,
    photos: Path | Sequence[Path],
    hyperparameters: dict[str, str],
    hosts: Sequence[str],
    port: int,
    *,
    distribution: str = "FullyReplicated",
    prefixes: Sequence[tuple[str, ...]] = ((), ()),
    interface: str = "lo",
) -> "Iterator[list[subprocess.Popen[str]]]":
    """Start `train` once for each host, each with its own /opt/ml, and with its own photos if several folders are given."""
    processes = []
    each = [photos] * len(hosts) if isinstance(photos, Path) else photos
    try:
        for host, prefix, channel in zip(hosts, prefixes, each, strict=True):
            base = folder / host
            (base / "checkpoints").mkdir(parents=True)
            resources = {"current_host": host, "hosts": list(hosts), "network_interface_name": interface}
            inputs = {"TrainingInputMode": "File", "S3DistributionType": distribution}
            lay_out(base, {"training": channel}, hyperparameters, channel=inputs, resources=resources)
            processes.append(
                subprocess.Popen(
                    [*prefix, str(Path(sys.executable).parent / "train")],
                    env=os.environ | {"SAGEMAKER_BASE_DIR": str(base), "MASTER_PORT": str(port)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                )
            )
        yield processes
    finally:
        for process in processes:
            kill_host(process)
            assert process.stdout is not None
            process.stdout.close()


def kill_host(process: "subprocess.Popen[str]") -> None:
    """End all processes of a host at once, like a machine that is lost."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has just ended
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = {process.pid}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def losses(base: Path) -> list[float]:
    lines = (base / "output" / "data" / "records.jsonl").read_text().splitlines()
    return [loss for line in lines if (record := json.loads(line))["kind"] == "epoch" for loss in record["step_losses"]]


def compared(base: Path) -> dict[str, int]:
    """Return how many photos and pairs of photos the chief compared for the report."""
    lines = (base / "output" / "data" / "records.jsonl").read_text().splitlines()
    held = {record["kind"]: record for line in lines if (record := json.loads(line))}
    return {"mislabelled": held["mislabelled"]["judged"], "near_duplicates": held["near_duplicates"]["compared"]}


def assert_as_one(folder: Path, alone: Path, hosts: Sequence[str]) -> None:
    chief, other = (folder / host for host in hosts)
    assert losses(chief) == pytest.approx(losses(alone), rel=1e-4)
    weights = [load_file(base / "model" / "model.safetensors") for base in (chief, alone)]
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-5)
    # The chief alone writes, but for what each host measures of itself.
    for base, host in ((chief, hosts[0]), (other, hosts[1])):
        assert [path.name for path in (base / "output/data").glob("system-*")] == [f"system-{host}.jsonl"]
    own = other / "output" / "data" / f"system-{hosts[1]}.jsonl"
    written = {path.relative_to(other).parts[0] for path in other.rglob("*") if path.is_file() and path != own}
    assert written <= {"input", "checkpoints"} and not list((other / "checkpoints").glob("*.pt"))


@pytest.mark.slow
def test_two_hosts_train_what_one_does_and_the_chief_alone_writes(tiny: Path, tmp_path: Path, port: int) -> None:
    alone = run_training(tmp_path / "alone", {"training": tiny}, JOB)
    assert alone.status == 0, alone.errors
    hosts = ("127.0.0.1", "127.0.0.2")
    with job(tmp_path, tiny, JOB, hosts, port) as processes:
        outputs = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
    assert_as_one(tmp_path, tmp_path / "alone", hosts)
    assert compared(tmp_path / hosts[0]) == compared(tmp_path / "alone") == {"mislabelled": 16, "near_duplicates": 80}
    assert len(re.findall("^epoch=", outputs[0], re.MULTILINE)) == 5 and "epoch=" not in outputs[1]


@pytest.mark.slow
def test_sigterm_to_both_hosts_keeps_a_checkpoint_and_the_best_model(tiny: Path, tmp_path: Path, port: int) -> None:
    with job(tmp_path, tiny, ENDLESS, ("127.0.0.1", "127.0.0.2"), port) as processes:
        wait_for_line(processes[0], "epoch=5 ")
        processes[1].send_signal(signal.SIGTERM)
        output, seconds = terminate(processes[0])
        processes[1].wait(timeout=60)
        assert [process.returncode for process in processes] == [143, 143] and seconds < 30, output
    chief = tmp_path / "127.0.0.1"
    assert (chief / "model" / "model.json").exists() and list((chief / "checkpoints").glob("finetune-*.pt")), output


@pytest.mark.slow
@pytest.mark.parametrize("dying", [0, 1])
def test_when_a_host_dies_the_other_ends_within_a_minute_and_says_why(
    tiny: Path, tmp_path: Path, port: int, dying: int
) -> None:
    hosts = ("127.0.0.1", "127.0.0.2")
    with job(tmp_path, tiny, ENDLESS, hosts, port) as processes:
        wait_for_line(processes[0], "epoch=4 ")
        kill_host(processes[dying])
        started = time.monotonic()
        output, _ = processes[1 - dying].communicate(timeout=90)
        assert time.monotonic() - started < 60 and processes[1 - dying].returncode == 1, output
    failure = (tmp_path / hosts[1 - dying] / "output" / "failure").read_text()
    assert re.match("another process of the job ended|the chief host does not answer", failure)


@pytest.mark.slow
def test_a_process_that_a_signal_ends_leaves_the_signals_name(tiny: Path, tmp_path: Path, port: int) -> None:
    hosts = ("127.0.0.1", "127.0.0.2")
    with job(tmp_path, tiny, ENDLESS, hosts, port) as processes:
        wait_for_line(processes[0], "epoch=4 ")
        (trainer,) = Path(f"/proc/{processes[1].pid}/task/{processes[1].pid}/children").read_text().split()
        os.kill(int(trainer), signal.SIGABRT)
        outputs = [process.communicate(timeout=90)[0] for process in processes]
        assert [process.returncode for process in processes] == [1, 1], outputs
    failure = (tmp_path / hosts[1] / "output" / "failure").read_text()
    assert failure.startswith("process 1 of the job was ended by the signal SIGABRT: "), failure
    assert "Traceback" not in outputs[1]


def failures(folder: Path, processes: "list[subprocess.Popen[str]]", hosts: Sequence[str]) -> set[str]:
    """Return the failure texts of hosts that have all failed without a traceback."""
    outputs = [process.communicate(timeout=120)[0] for process in processes]
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


@pytest.mark.slow
def test_one_host_alone_holds_every_part_and_trains(tiny: Path, tmp_path: Path, port: int) -> None:
    with job(tmp_path, tiny, JOB, ("localhost",), port, distribution="ShardedByS3Key", prefixes=((),)) as (process,):
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


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
        # The platform's shards in the order of keys: one host has no photo of a class, or only photos of one class.
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


@contextlib.contextmanager
def namespaces(names: Sequence[str]) -> Iterator[None]:
    """Two hosts that reach only each other, and know each other by name."""
    addresses = {name: f"192.0.2.{number}" for number, name in enumerate(names, 1)}

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
            folder = Path("/etc/netns") / name
            folder.mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{address} {host}\n" for host, address in addresses.items())
            (folder / "hosts").write_text(f"127.0.0.1 localhost\n{lines}")
        ends = [("netns", name, "name", "eth0") for name in names]
        ip("link", "add", "eth0", "netns", names[0], "type", "veth", "peer", *ends[1][2:], *ends[1][:2])
        for name, address in addresses.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)


needs_ip = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces take root and the package iproute2"
)


@pytest.mark.slow
@needs_ip
def test_two_hosts_in_networks_of_their_own_train_what_one_does(tiny: Path, tmp_path: Path, port: int) -> None:
    alone = run_training(tmp_path / "alone", {"training": tiny}, JOB)
    assert alone.status == 0, alone.errors
    hosts = (f"algo-1-{os.getpid()}", f"algo-2-{os.getpid()}")
    prefixes = [("ip", "netns", "exec", host) for host in hosts]
    with (
        namespaces(hosts),
        job(tmp_path, tiny, JOB, hosts, port, prefixes=prefixes, interface="eth0") as processes,
    ):
        outputs = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
    assert_as_one(tmp_path, tmp_path / "alone", hosts)


@needs_ip
@pytest.mark.long
def test_a_host_whose_network_goes_silent_is_noticed_within_a_minute(tiny: Path, tmp_path: Path, port: int) -> None:
    hosts = (f"algo-1-{os.getpid()}", f"algo-2-{os.getpid()}")
    prefixes = [("ip", "netns", "exec", host) for host in hosts]
    with (
        namespaces(hosts),
        job(tmp_path, tiny, ENDLESS, hosts, port, prefixes=prefixes, interface="eth0") as processes,
    ):
        wait_for_line(processes[0], "epoch=4 ")
        subprocess.run(["ip", "-n", hosts[1], "link", "set", "eth0", "down"], check=True)
        started = time.monotonic()
        output, _ = processes[0].communicate(timeout=90)
        assert time.monotonic() - started < 60 and processes[0].returncode == 1, output
    failure = (tmp_path / hosts[0] / "output" / "failure").read_text()
    assert "has been silent for 30 seconds" in failure


@pytest.mark.slow
@pytest.mark.host("a container may not make a network of its own")
def test_a_host_that_cannot_be_found_is_named_within_the_deadline(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    (base / "input" / "config").mkdir(parents=True)
    resources = {"current_host": "localhost", "hosts": ["localhost", "missing.invalid"], "network_interface_name": "lo"}
    (base / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
    # A separate network, so that no name server is asked.
    alone = ("unshare", "--map-root-user", "--net")
    started = time.monotonic()
    run = run_training(base, {"training": tiny}, JOB, prefix=alone, environment={"BYOC_HOSTS_DEADLINE": "3"})
    assert run.status == 1 and time.monotonic() - started < 60
    assert "missing.invalid" in run.failure and "BYOC_HOSTS_DEADLINE" in run.failure and "Traceback" not in run.errors


@pytest.mark.parametrize("interface", ["eth7", ""])
def test_torchrun_learns_of_hosts_processes_and_network_and_sigterm_is_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interface: str
) -> None:
    given: list[Any] = []

    def launch(config: LaunchConfig, program: object) -> Callable[..., None]:
        def wait(*arguments: str) -> None:
            given.extend((config, arguments))
            raise SignalException("terminated", signal.SIGTERM)

        return wait

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", launch)
    variables = {name: value for name, value in os.environ.items() if "_IFNAME" not in name} | {"MASTER_PORT": "4567"}
    monkeypatch.setattr(os, "environ", variables)
    hosts = ("127.0.0.1", "127.0.0.2")
    job = Job(
        base=tmp_path,
        hyperparameters={},
        channels={},
        places=Places(None, tmp_path),
        hosts=hosts,
        current_host=hosts[1],
        network_interface=interface,
    )
    assert run_torchrun(job, 3, ["--feature-cache", "cache"]) == 143
    config, arguments = given
    assert (config.min_nodes, config.max_nodes, config.nproc_per_node, config.max_restarts) == (2, 2, 3, 0)
    assert config.rdzv_endpoint == "127.0.0.1:4567" and config.rdzv_configs["rank"] == 1
    assert arguments[-3:] == ("train", "--feature-cache", "cache")
    names = {"GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"}
    assert {name: variables[name] for name in names & variables.keys()} == (
        dict.fromkeys(names, "eth7") if interface else {}
    )
