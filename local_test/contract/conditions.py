"""What a container is started with beyond the usual, and how it ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PORT = 8080


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions under which a clause runs an image. Only `docker run` can set the last four."""

    image: str | None = None  # in place of the image that is checked
    isolated: bool = False  # without a way to any other machine
    environment: Mapping[str, str] = field(default_factory=dict)
    memory: int | None = None  # MB
    command: Sequence[str] | None = None  # in place of `train` or `serve`
    port: int = PORT
    hosts_network: bool = False  # this machine's, where the container reaches what listens on the loopback interface
    options: Sequence[str] = ()  # of `docker run`


USUAL = Conditions()
ISOLATED = Conditions(isolated=True)


@dataclass(frozen=True)
class Stop:
    """How something ended that was told to end."""

    how: str  # in words
    killed: bool  # SIGKILL ended it
    seconds: float


@dataclass(frozen=True)
class GivenUp:
    """What became of a server that cannot serve."""

    how: str  # in words
    said_ready: bool
    ended: bool
    well: bool  # with exit status 0
