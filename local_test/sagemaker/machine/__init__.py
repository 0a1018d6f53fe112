"""The machines that run containers: their protocol, which process.py and docker.py implement."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from local_test.sagemaker.errors import invalid

# Variables of every container, unless its request sets them.
DEFAULTS = {
    # On an EC2 instance the container would otherwise find the instance's real keys.
    "AWS_EC2_METADATA_DISABLED": "true",
    # Jobs share the cores of this machine. OpenMP's waiting threads would keep a core from the job that they wait for: two trials
    # side by side then took 22 s each instead of 5 s. A job that runs by itself loses 0.2 s.
    "OMP_WAIT_POLICY": "PASSIVE",
}


@dataclass(frozen=True)
class Mount:
    """A folder on this machine that a container sees at `target`."""

    source: Path
    target: PurePosixPath
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container to start. A machine runs it, and knows nothing about jobs and endpoints."""

    name: str  # a name that is unique on this machine
    image: str
    command: tuple[str, ...]  # train, serve, or ContainerArguments
    entrypoint: tuple[str, ...] | None = None  # ContainerEntrypoint, which replaces the image's entry point
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    host: str = "algo-1"
    network: str | None = None  # containers with the same network reach each other by their hosts' names
    isolated: bool = False  # whether the container is cut off from other machines
    port: int | None = None  # the port on which the program listens; None if it does not listen
    memory: int | None = None  # the memory limit in MB; None means no limit. A process never has a limit

    def __post_init__(self) -> None:
        words = [*self.command, *(self.entrypoint or ()), *self.environment, *self.environment.values()]
        if any("\0" in word for word in words):
            raise invalid("a NUL character is in a variable or an argument of the container; no system accepts that")


class Running(Protocol):
    """A container that was started."""

    def lines(self) -> Iterator[str]:
        """Yield the lines that the container writes to standard output and standard error, until it ends."""

    def wait(self, seconds: float | None = None) -> int | None:
        """Return the exit status, or None if the container still runs after `seconds`."""

    def stop(self, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after `grace` seconds; return when the container has ended."""

    def kill(self) -> None:
        """Send SIGKILL and return when the container has ended."""

    def address(self) -> tuple[str, int]:
        """Return the host and port on this machine at which the container listens."""

    def path(self, path: PurePosixPath) -> str:
        """Return the path under which the program sees a path of its container."""


class Machine(Protocol):
    """Starts containers, and ends those that a killed emulator left behind."""

    interface: str  # the network interface's name in resourceconfig.json

    @property
    def protects(self) -> bool:
        """Return whether the machine can really prevent writes to a read-only mount."""

    def hosts(self, count: int) -> tuple[str, ...]:
        """Return the names by which `count` containers in one network find each other."""

    def check(self, image: str) -> None:
        """Raise ApiError when this machine cannot run an image."""

    def start(self, container: Container) -> Running:
        """Start a container; raises ApiError when the machine cannot."""

    def end_leftovers(self) -> list[str]:
        """End what an emulator left running on this data folder, and return its names."""
