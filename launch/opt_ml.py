"""Lays out a folder as SageMaker lays out /opt/ml for a training job.

python3 -m launch.opt_ml FOLDER CHANNEL... -- [NAME=VALUE]...   writes only the files of /opt/ml/input/config into FOLDER
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILES = {"TrainingInputMode": "File"}  # the entry in inputdataconfig.json for a channel whose files are downloaded
# Content of resourceconfig.json for a job on one host.
ONE_HOST = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"}


def lay_out(
    base: Path,
    channels: Mapping[str, Path],
    hyperparameters: Mapping[str, str],
    *,
    channel: Mapping[str, str] = FILES,
    resources: Mapping[str, Any] | None = ONE_HOST,
) -> None:
    """Write the configuration below `base`, and link the channels' folders. A folder that is already laid out is changed.

    `channel` is the entry that each channel gets in inputdataconfig.json.
    """
    data = base / "input" / "data"
    data.mkdir(parents=True, exist_ok=True)
    for name, folder in channels.items():
        (data / name).unlink(missing_ok=True)
        (data / name).symlink_to(folder.resolve(), target_is_directory=True)
    write_configuration(base / "input" / "config", channels, hyperparameters, channel=channel, resources=resources)


def write_configuration(
    config: Path,
    channels: Iterable[str],
    hyperparameters: Mapping[str, str],
    *,
    channel: Mapping[str, str] = FILES,
    resources: Mapping[str, Any] | None = ONE_HOST,
) -> None:
    """Write hyperparameters.json, inputdataconfig.json and, unless `resources` is None, resourceconfig.json."""
    config.mkdir(parents=True, exist_ok=True)
    files = {
        "hyperparameters": dict(hyperparameters),
        "inputdataconfig": {name: dict(channel) for name in channels},
        "resourceconfig": resources,
    }
    for name, value in files.items():
        if value is not None:
            (config / f"{name}.json").write_text(json.dumps(value, indent=2))


def main(arguments: list[str]) -> None:
    """Write the configuration for a container, whose network interface is eth0."""
    folder, *rest = arguments
    end = rest.index("--")
    hyperparameters = dict(pair.split("=", 1) for pair in rest[end + 1 :])
    resources = ONE_HOST | {"network_interface_name": "eth0"}
    write_configuration(Path(folder), rest[:end], hyperparameters, resources=resources)


if __name__ == "__main__":
    main(sys.argv[1:])
