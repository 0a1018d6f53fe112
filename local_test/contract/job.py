"""Lays out a training job as the platform does: configuration files, channels, and the mounts below /opt/ml."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 300  # seconds within which a job must end


@dataclass
class Job:
    """A training job on one host: its settings, and its folders below `folder`."""

    folder: Path
    channels: Mapping[str, Path]
    hyperparameters: Mapping[str, str]
    hosts: Sequence[str] = ("algo-1",)
    host: str = "algo-1"
    input_mode: str = "File"
    checkpoints: bool = False
    resources: Mapping[str, Any] = field(default_factory=dict)  # further members of resourceconfig.json
    # The content of inputdataconfig.json, which replaces the default.
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made = [self.model, self.output, self.output / "data", *([self.checkpoint_folder] if self.checkpoints else [])]
        for path in (*made, self.config):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)  # the container may run as any user
        host = {"current_host": self.host, "hosts": list(self.hosts), "network_interface_name": "eth0"}
        channel = {
            "TrainingInputMode": self.input_mode,
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            "ContentType": "application/x-image",
        }
        self.write("hyperparameters.json", dict(self.hyperparameters))
        self.write("resourceconfig.json", {**host, **self.resources})
        self.write("inputdataconfig.json", dict(self.inputs) or {name: channel for name in self.channels})

    @property
    def config(self) -> Path:
        return self.folder / "input" / "config"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def checkpoint_folder(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def failure(self) -> str:
        """The job's failure text; empty if the job wrote none."""
        path = self.output / "failure"
        return path.read_text(errors="replace") if path.exists() else ""

    def write(self, name: str, value: Any) -> None:
        """Write one configuration file."""
        (self.config / name).write_text(json.dumps(value))

    def mounts(self) -> list[str]:
        """Return docker's options for the folders; input is read-only, as a FastFile channel is."""
        pairs = [f"{self.config}:/opt/ml/input/config:ro"]
        pairs += [f"{path}:/opt/ml/input/data/{name}:ro" for name, path in self.channels.items()]
        pairs += [f"{self.model}:/opt/ml/model", f"{self.output}:/opt/ml/output"]
        pairs += [f"{self.checkpoint_folder}:/opt/ml/checkpoints"] if self.checkpoints else []
        return [part for pair in pairs for part in ("--volume", pair)]


@dataclass
class Ended:
    """A job that has ended: its exit status (None if it did not end in time), its log, and further observations."""

    job: Job
    status: int | None
    log: str
    last_line: str
    # These are functions, since not every platform can show the values. Only clauses that need a value call its function.
    changes: Callable[[], list[str]]  # paths that were changed outside the mounts
    failure: Callable[[], str]  # the text in /opt/ml/output/failure, however the job ended

    def succeeded(self) -> str:
        """Return an observation for the table; raises AssertionError with one sentence if the job failed or left no model."""
        assert self.status is not None, f"the job still ran after {PATIENCE} s"
        reason = self.job.failure.split("\n")[0][:200] or self.last_line
        assert self.status == 0, f"exit status {self.status}: {reason}"
        files = model_files(self.job.model)
        assert files, "exit status 0, but /opt/ml/model is empty"
        return f"exit status 0, {len(files)} model files"


def model_files(folder: Path) -> list[Path]:
    """Return the files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def copy(source: Path, target: Path) -> None:
    """Copy a folder unchanged."""
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
