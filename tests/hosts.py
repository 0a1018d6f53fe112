"""Jobs on several hosts, for the tests: the real program once for each host, on loopback or in separate network namespaces."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from launch.opt_ml import lay_out

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
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and the package iproute2"
)
