"""What SageMaker puts under /opt/ml for a training job, read once and turned into values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError

# Channels that carry something other than photos: weights, and the SDK's own driver scripts.
OTHER_CHANNELS = frozenset({"pretrained", "model", "code", "sm_drivers"})
FAILURE_LIMIT = 1024  # characters of output/failure that become FailureReason


@dataclass(frozen=True)
class Job:
    """The folders of a training job and what its configuration files say."""

    base: Path
    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Path]

    @property
    def model_dir(self) -> Path:
        return self.base / "model"

    @property
    def output_data_dir(self) -> Path:
        return self.base / "output" / "data"

    @property
    def photo_channels(self) -> dict[str, Path]:
        return {name: path for name, path in self.channels.items() if name not in OTHER_CHANNELS}


def read_job(base: Path) -> Job:
    """Read the configuration files below `base`; raises ConfigError when one is no JSON object or asks for several hosts.

    Channels come from inputdataconfig.json, since the data folder also holds what is no channel. Without that file
    every folder in input/data is one, as when a person lays /opt/ml out by hand.
    """
    config = base / "input" / "config"
    hyperparameters = _read_object(config / "hyperparameters.json")
    hosts = _read_object(config / "resourceconfig.json").get("hosts", [])
    if len(hosts) > 1:
        # All would train the same model and overwrite each other's: in local mode the model folder is shared.
        raise ConfigError(
            f"the job has {len(hosts)} hosts; training on several is not there yet, set instance_count to 1"
        )
    data = base / "input" / "data"
    if (config / "inputdataconfig.json").exists():
        names = sorted(_read_object(config / "inputdataconfig.json"))
    elif data.is_dir():
        names = sorted(entry.name for entry in data.iterdir() if entry.is_dir())
    else:
        raise ConfigError(
            f"{base} holds no input/data; set SAGEMAKER_BASE_DIR to a folder laid out as SageMaker's /opt/ml"
        )
    return Job(base, hyperparameters, {name: data / name for name in names})


def write_failure(base: Path, message: str) -> None:
    """Write the text that becomes the job's FailureReason, the most useful sentence first."""
    path = base / "output" / "failure"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(message[:FAILURE_LIMIT])


def _read_object(path: Path) -> dict[str, Any]:
    """Return a configuration file's object, empty when there is no such file."""
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON ({error}); write an object of strings") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a JSON object, it holds {str(value)[:60]!r}")
    return value
