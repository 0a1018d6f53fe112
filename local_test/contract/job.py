"""A training job as the platform lays it out: configuration files, channels, and the mounts below /opt/ml."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_test.contract.engine import Container, open_up

PATIENCE = 300  # seconds for one job


@dataclass
class Job:
    """The folders of one host's job."""

    folder: Path
    channels: Mapping[str, Path]
    hyperparameters: Mapping[str, str]
    resources: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    checkpoints: bool = False

    def __post_init__(self) -> None:
        made = [self.model, self.output, self.output / "data", *([self.checkpoint_folder] if self.checkpoints else [])]
        for path in (*made, self.config):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)  # whatever user the container runs as
        host = {"current_host": "algo-1", "hosts": self.hosts, "network_interface_name": "eth0"}
        channel = {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            "ContentType": "application/x-image",
        }
        self.write("hyperparameters.json", dict(self.hyperparameters))
        self.write("resourceconfig.json", {**host, **self.resources})
        self.write("inputdataconfig.json", dict(self.inputs) or {name: channel for name in self.channels})

    @property
    def hosts(self) -> list[str]:
        return list(self.resources.get("hosts", ["algo-1"]))

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
        """What the job says of its failure, empty when it says nothing."""
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

    def start(self, image: str, options: Sequence[str] = (), command: Sequence[str] = ("train",)) -> Container:
        """Start the container as the platform does."""
        environment = ("TRAINING_JOB_NAME=contract", "TRAINING_JOB_ARN=arn:aws:sagemaker:us-east-1:1:training-job/c")
        named = [part for pair in environment for part in ("--env", pair)]
        # A single host's name leads to itself, as on the platform; several find each other on their network.
        alone = () if len(self.hosts) > 1 else ("--add-host", f"{self.hosts[0]}:127.0.0.1")
        # 64 MB is what an engine, and so local mode, gives by default.
        return Container(image, command, ["--shm-size", "64m", *alone, *named, *self.mounts(), *options])

    def run(self, image: str, options: Sequence[str] = (), command: Sequence[str] = ("train",)) -> "Ended":
        """Run the job to its end and return what can be seen of it."""
        with self.start(image, options, command) as container:
            return self.end(image, container)

    def end(self, image: str, container: Container) -> "Ended":
        """Wait for the container's end and return what can be seen of it."""
        status = container.wait(PATIENCE)
        if status is None:
            container.stop(1)
        ended = Ended(self, status, container.logs(), container.last_line(), container.changes())
        open_up(image, self.folder)
        return ended


@dataclass
class Ended:
    """A job that has ended: its exit status (None when it did not end in time), log and changed paths."""

    job: Job
    status: int | None
    log: str
    last_line: str
    changes: list[str]

    def succeeded(self) -> str:
        """Return what was seen; raises AssertionError with one sentence when the job failed or left no model."""
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
    """Copy a folder as it is."""
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
