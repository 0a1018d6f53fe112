"""Where containers run: one protocol, and a machine for each way (process.py, docker.py)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from local_test.sagemaker.errors import invalid

# Variables of every container, unless its request says otherwise: on a machine of EC2 it would find that machine's real keys.
NO_KEYS = {"AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True)
class Mount:
    """A folder of this machine that a container sees at `target`."""

    source: Path
    target: PurePosixPath
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Container:
    """What is to be started; a machine makes it run and knows nothing of jobs and endpoints."""

    name: str  # unique on this machine
    image: str
    command: tuple[str, ...]  # train, serve, or ContainerArguments
    entrypoint: tuple[str, ...] | None = None  # ContainerEntrypoint, in place of the image's own
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    host: str = "algo-1"
    network: str | None = None  # containers of one name reach each other by their hosts' names
    isolated: bool = False  # no way to any other machine
    port: int | None = None  # on which the program is to listen; None: on none
    memory: int | None = None  # MB that it may use; None: as much as there is. A process has no such limit

    def __post_init__(self) -> None:
        words = [*self.command, *(self.entrypoint or ()), *self.environment, *self.environment.values()]
        if any("\0" in word for word in words):
            raise invalid("a NUL character is in a variable or an argument of the container, which no system takes")


class Running(Protocol):
    """A container that was started."""

    def lines(self) -> Iterator[str]:
        """Yield the lines that it writes to its outputs, until it ends."""

    def wait(self, seconds: float | None = None) -> int | None:
        """Return its exit status, or None when it still runs after so long."""

    def stop(self, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after so many seconds; return when it has ended."""

    def kill(self) -> None:
        """Send SIGKILL and return when it has ended."""

    def address(self) -> tuple[str, int]:
        """Return the host and port of this machine where it listens."""

    def path(self, path: PurePosixPath) -> str:
        """Return the path by which the program knows a path of its container."""


class Machine(Protocol):
    """Starts containers, and ends what was left of an emulator that was killed."""

    interface: str  # of the network, in resourceconfig.json

    @property
    def protects(self) -> bool:
        """Return whether a read-only mount cannot be written to."""

    def hosts(self, count: int) -> tuple[str, ...]:
        """Return the names by which so many containers of one network find each other."""

    def check(self, image: str) -> None:
        """Raise ApiError when this machine cannot run an image."""

    def start(self, container: Container) -> Running:
        """Start a container; raises ApiError when the machine cannot."""

    def end_leftovers(self) -> list[str]:
        """End what an emulator left running on this data folder, and return its names."""
