"""The training job that SageMaker describes in the files below /opt/ml, read once and turned into values."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError
from classifier.names import is_system
from classifier.paths import shown
from train import environment
from train.config import TRIAL
from train.json_file import read_object
from train.places import Places, read_places

# Channels that do not hold photos, but weights, an earlier model, code, or the SDK's own scripts.
OTHER_CHANNELS = frozenset({"pretrained", "model", "code", "sm_drivers"})
FAILURE_LIMIT = 1024  # the characters of output/failure that SageMaker shows as FailureReason


@dataclass(frozen=True, kw_only=True)
class Job:
    """The folders of a training job and the content of its configuration files."""

    base: Path
    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Path]
    places: Places
    hosts: tuple[str, ...] = ("localhost",)
    current_host: str = "localhost"
    network_interface: str = ""
    fast_file: bool = False  # channels that are mounts, where reading a file fetches it from S3
    sharded: tuple[str, ...] = ()  # channels whose files are divided over the hosts
    pipes: frozenset[str] = frozenset()  # channels that come through a FIFO

    @property
    def model_dir(self) -> Path:
        return self.base / "model"

    @property
    def output_data_dir(self) -> Path:
        return self.base / "output" / "data"

    @property
    def is_trial(self) -> bool:
        """Whether this is one of many jobs of a tuning job."""
        return TRIAL in self.hyperparameters

    @property
    def photo_channels(self) -> dict[str, Path]:
        return {name: path for name, path in self.channels.items() if name not in OTHER_CHANNELS}


def read_job(base: Path) -> Job:
    """Read the configuration files below `base`; raises ConfigError if one is not a JSON object, or if its hosts are wrong.

    inputdataconfig.json names the channels, since the data folder holds other things too. Without that file every folder in
    input/data is a channel, as when a person lays out /opt/ml by hand.
    """
    config = base / "input" / "config"
    hyperparameters = read_object(config / "hyperparameters.json")
    resources = read_object(config / "resourceconfig.json")
    hosts = _hosts(resources)
    current = resources.get("current_host") or hosts[0]
    if current not in hosts:
        raise ConfigError(f"current_host {current!r} is none of the hosts {', '.join(hosts)} in resourceconfig.json")
    data = base / "input" / "data"
    inputs = read_object(config / "inputdataconfig.json")
    if inputs:
        names = sorted(inputs)
    elif data.is_dir():
        names = sorted(entry.name for entry in data.iterdir() if entry.is_dir() and not is_system(entry.name))
    else:
        raise ConfigError(
            f"{base} holds no input/data; set SAGEMAKER_BASE_DIR to a folder laid out as SageMaker's /opt/ml"
        )
    modes = {name: channel.get("TrainingInputMode") for name, channel in inputs.items() if isinstance(channel, dict)}
    return Job(
        base=base,
        hyperparameters=hyperparameters,
        channels={name: data / name for name in names},
        places=read_places(base),
        hosts=hosts,
        current_host=current,
        network_interface=str(resources.get("network_interface_name") or ""),
        fast_file="FastFile" in modes.values(),
        sharded=tuple(name for name in names if _distribution(inputs.get(name)) == "ShardedByS3Key"),
        pipes=frozenset(name for name, mode in modes.items() if mode == "Pipe"),
    )


def warm_pool() -> Path | None:
    """Return the folder that a warm pool keeps for its next job; None for a job without a warm pool."""
    return environment.WARM_POOL.read()


def _hosts(resources: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hosts' names, sorted: so all hosts choose the same chief."""
    hosts = resources.get("hosts") or ["localhost"]
    if not isinstance(hosts, list) or not all(isinstance(host, str) and host for host in hosts):
        raise ConfigError(f'hosts is {shown(hosts)} in resourceconfig.json; write a list of names, as in ["algo-1"]')
    if len(set(hosts)) < len(hosts):
        raise ConfigError(f"hosts is {shown(hosts)} in resourceconfig.json; name each host once")
    return tuple(sorted(hosts))


def _distribution(channel: Any) -> Any:
    return channel.get("S3DistributionType") if isinstance(channel, dict) else None


def refuse_shards(job: Job) -> None:
    """Raise ConfigError if the platform divides a channel over several hosts."""
    if len(job.hosts) > 1 and job.sharded:
        channels = ", ".join(map(repr, job.sharded))
        raise ConfigError(
            f"the channel {channels} has the S3DistributionType ShardedByS3Key, so that each of the {len(job.hosts)} hosts "
            "holds a part of its files; use FullyReplicated: the hosts share the work out by themselves, and with the input "
            "mode FastFile no file is copied"
        )


def write_failure(base: Path, message: str) -> None:
    """Write the text that becomes the job's FailureReason, the most useful sentence first, unless there is one already.

    If several processes fail, the first one knows the reason; the others fail as a consequence.
    """
    path = base / "output" / "failure"
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        file.write(message[:FAILURE_LIMIT])


def forget_failure(base: Path) -> None:
    """Remove the failure text of an earlier attempt."""
    (base / "output" / "failure").unlink(missing_ok=True)
