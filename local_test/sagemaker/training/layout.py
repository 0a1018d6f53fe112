"""Makes the folders and configuration files that a training container finds below /opt/ml (C 1.2, 1.3)."""

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from local_test.sagemaker.machine import Mount

OPT_ML = PurePosixPath("/opt/ml")
DATA = OPT_ML / "input" / "data"
OUTPUT = OPT_ML / "output"
CHECKPOINTS = OPT_ML / "checkpoints"  # the default of CheckpointConfig.LocalPath
GROUP = (
    "homogeneousCluster"  # the name that a cluster of one instance type has in resourceconfig.json (TT environment.py)
)


def stays_within(path: Path, folder: Path) -> bool:
    """Return whether a path leads to a place inside its folder. A container may have left a link to another file of this machine."""
    return path.resolve().is_relative_to(folder.resolve())


def files(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted, without links that lead out of it."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and stays_within(path, folder))


@dataclass(frozen=True)
class HostFolder:
    """The folders of one host of a job."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def channel(self, name: str) -> Path:
        return self.data / name

    @property
    def failure(self) -> str:
        """Return the program's failure text; empty if the program wrote none."""
        path = self.output / "failure"
        try:
            return path.read_text(errors="replace") if stays_within(path, self.output) else ""
        except OSError:
            return ""

    def make(self) -> None:
        """Make the folders that every job has; any user may write there, as on the platform, where containers run as root."""
        for path in (self.config, self.data, self.model, self.output, self.output / "data", self.checkpoints):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)

    def mounts(self) -> tuple[Mount, ...]:
        """Return the mounts that every job's container has."""
        return (
            Mount(self.config, OPT_ML / "input" / "config", read_only=True),
            Mount(self.data, DATA),
            Mount(self.model, OPT_ML / "model"),
            Mount(self.output, OUTPUT),
        )


def write_config(folder: Path, request: Mapping[str, Any], hosts: Sequence[str], host: str, interface: str) -> None:
    """Write the configuration files of one host."""
    instance = request["ResourceConfig"]["InstanceType"]
    _write(folder / "hyperparameters.json", request.get("HyperParameters") or {})
    _write(
        folder / "inputdataconfig.json", {entry["ChannelName"]: _input(entry, request) for entry in _channels(request)}
    )
    _write(
        folder / "resourceconfig.json",
        {
            "current_host": host,
            "current_instance_type": instance,
            "current_group_name": GROUP,
            "hosts": sorted(hosts),
            "instance_groups": [{"instance_group_name": GROUP, "instance_type": instance, "hosts": sorted(hosts)}],
            "network_interface_name": interface,
        },
    )
    if checkpoints := request.get("CheckpointConfig"):
        _write(folder / "checkpointconfig.json", {"LocalPath": checkpoints.get("LocalPath") or str(CHECKPOINTS)})
    if profiler := request.get("ProfilerConfig"):
        _write(folder / "profilerconfig.json", profiler)


def local_path(config: Mapping[str, Any], usual: PurePosixPath) -> PurePosixPath:
    """Return the LocalPath of a configuration, or the default. Any `..` is removed, since it would lead out of a host's folder."""
    return PurePosixPath(posixpath.normpath(config.get("LocalPath") or usual))


def input_mode(channel: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """Return a channel's input mode: its own, or the job's (API, Channel.InputMode)."""
    return str(channel.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"])


def _channels(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    return request.get("InputDataConfig") or []


def _input(channel: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": input_mode(channel, request),
        "S3DistributionType": source.get("S3DataDistributionType") or "FullyReplicated",
        "RecordWrapperType": channel.get("RecordWrapperType") or "None",
    }
    return {**config, "ContentType": channel["ContentType"]} if channel.get("ContentType") else config


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))
