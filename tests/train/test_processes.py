"""Several hosts train the same model as one host; each finds the others by torchrun's settings."""

import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.launcher.api import LaunchConfig

from tests.conftest import run_training, terminate, wait_for_line
from tests.hosts import ENDLESS, JOB, job, namespaces, needs_ip
from tests.ports import free_port
from train.contract import Job
from train.places import Places
from train.processes import run_torchrun


@pytest.fixture
def port() -> int:
    return free_port()


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
    # Only the chief writes results; each host writes the measurements of its own machine.
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
        outputs = [process.communicate(timeout=300)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
    assert_as_one(tmp_path, tmp_path / "alone", hosts)
    assert compared(tmp_path / hosts[0]) == compared(tmp_path / "alone") == {"mislabelled": 16, "near_duplicates": 80}
    assert len(re.findall("^epoch=", outputs[0], re.MULTILINE)) == 5 and "epoch=" not in outputs[1]


@pytest.mark.slow
def test_sigterm_to_both_hosts_keeps_a_checkpoint_and_the_best_model(tiny: Path, tmp_path: Path, port: int) -> None:
    with job(tmp_path, tiny, ENDLESS, ("127.0.0.1", "127.0.0.2"), port) as processes:
        wait_for_line(processes[0], "epoch=5 ")
        processes[1].send_signal(signal.SIGTERM)
        output = terminate(processes[0])
        processes[1].wait(timeout=300)
        assert [process.returncode for process in processes] == [143, 143], output
    chief = tmp_path / "127.0.0.1"
    assert (chief / "model" / "model.json").exists() and list((chief / "checkpoints").glob("finetune-*.pt")), output


@pytest.mark.slow
def test_one_host_alone_holds_every_part_and_trains(tiny: Path, tmp_path: Path, port: int) -> None:
    with job(tmp_path, tiny, JOB, ("localhost",), port, distribution="ShardedByS3Key", prefixes=((),)) as (process,):
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


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
        outputs = [process.communicate(timeout=300)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
    assert_as_one(tmp_path, tmp_path / "alone", hosts)


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
