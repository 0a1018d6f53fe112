"""The unusual conditions with which a container can start, and the ways in which it can end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PORT = 8080


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions under which a clause runs an image. Only `docker run` can set the last four."""

    image: str | None = None  # an image that replaces the one that is checked
    isolated: bool = False  # whether the container is cut off from other machines
    environment: Mapping[str, str] = field(default_factory=dict)
    memory: int | None = None  # limit in MB
    command: Sequence[str] | None = None  # a command that replaces `train` or `serve`
    port: int = PORT
    # Whether the container uses this machine's network. It then reaches servers on the loopback interface.
    hosts_network: bool = False
    options: Sequence[str] = ()  # further options of `docker run`


USUAL = Conditions()
ISOLATED = Conditions(isolated=True)


@dataclass(frozen=True)
class Stop:
    """The end of a container that was asked to stop."""

    how: str  # a description in words
    killed: bool  # whether SIGKILL ended the container
    seconds: float


@dataclass(frozen=True)
class GivenUp:
    """The end of a server that cannot serve."""

    how: str  # a description in words
    said_ready: bool
    ended: bool
    well: bool  # whether the server ended with exit status 0
