"""Containers and networks through the docker command. Each has a unique name and is always removed."""

import contextlib
import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from local_test.contract.conditions import Stop

KILLED = 137  # exit status after SIGKILL
DOCKER = os.environ.get("DOCKER", "docker")
LABEL = f"contract-suite={os.getpid()}"
_number = itertools.count(1)


class EngineError(Exception):
    """The docker command failed; the text is the last line that it printed."""


def docker(*arguments: str, timeout: float = 120) -> str:
    """Run one docker command and return what it prints; raises EngineError."""
    try:
        done = subprocess.run([DOCKER, *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError:
        raise EngineError(
            f"there is no command {DOCKER}; install Docker Engine, or set DOCKER to its command"
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"docker {arguments[0]} ended with status {done.returncode}"]
        raise EngineError(lines[-1])
    return done.stdout.strip()


def unique_name() -> str:
    """Return a name that no other run of the suite uses."""
    return f"contract-{os.getpid()}-{next(_number)}"


def image_config(image: str) -> dict[str, Any]:
    """Return the output of `docker image inspect` for an image."""
    (found,) = json.loads(docker("image", "inspect", image))
    return dict(found)


class Container:
    """One running or ended container; as a context manager it is removed at the end."""

    def __init__(self, image: str, command: Sequence[str], options: Sequence[str] = ()) -> None:
        self.name = unique_name()
        self.started = time.monotonic()
        docker("run", "--detach", "--name", self.name, "--label", LABEL, *options, image, *command)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the container; kill it first if it still runs."""
        with contextlib.suppress(EngineError):
            docker("rm", "--force", "--volumes", self.name)

    def wait(self, seconds: float) -> int | None:
        """Return the exit status, or None if the container still runs after `seconds`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return int(docker("wait", self.name, timeout=seconds))
        return None

    def stop(self, seconds: int) -> Stop:
        """Send SIGTERM, and SIGKILL after `seconds`; wait for the end."""
        begun = time.monotonic()
        docker("stop", "--time", str(seconds), self.name, timeout=seconds + 60)
        took = time.monotonic() - begun
        return Stop(f"exit status {self.status()}", self.status() == KILLED or took >= seconds, took)

    def _inspect(self, template: str) -> str:
        return docker("inspect", "--format", template, self.name)

    def running(self) -> bool:
        return self._inspect("{{.State.Running}}") == "true"

    def status(self) -> int:
        """Return the exit status; 0 while the container runs."""
        return int(self._inspect("{{.State.ExitCode}}"))

    def published(self, port: int) -> tuple[str, int]:
        """Return the address on the loopback interface that leads to a port of the container."""
        host, _, number = docker("port", self.name, f"{port}/tcp").splitlines()[0].rpartition(":")
        return host, int(number)

    def address(self) -> str:
        """Return the container's address on its network. A Linux host can reach this address."""
        return self._inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def logs(self) -> str:
        """Return all that the container has printed so far: its standard output, then its standard error."""
        done = subprocess.run([DOCKER, "logs", self.name], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def last_line(self) -> str:
        """Return the last line of the container's output, for a message."""
        lines = [line.strip() for line in self.logs().splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it printed nothing"

    def execute(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command inside the container."""
        return subprocess.run(
            [DOCKER, "exec", self.name, *command], capture_output=True, text=True, timeout=60, check=False
        )

    def memory(self) -> float:
        """Return the resident memory of all processes of the container, in MB."""
        lines = docker("top", self.name, "-o", "pid,rss").splitlines()[1:]
        return sum(int(line.split()[-1]) for line in lines) / 1024

    def changes(self) -> list[str]:
        """Return the paths that the container changed outside its mounts."""
        return [line[2:] for line in docker("diff", self.name).splitlines()]


@contextlib.contextmanager
def internal_network() -> Iterator[str]:
    """Make a network whose containers reach each other, but no other machine. Remove it at the end."""
    name = unique_name()
    docker("network", "create", "--internal", "--label", LABEL, name)
    try:
        yield name
    finally:
        with contextlib.suppress(EngineError):
            docker("network", "rm", name)


def open_up(image: str, folder: Path) -> None:
    """Let the user that runs the suite read and remove what a container's root wrote below `folder`."""
    if os.geteuid():
        options = ("--rm", "--user", "0", "--network", "none", "--label", LABEL, "--entrypoint", "chmod")
        docker("run", *options, "--volume", f"{folder}:/opened", image, "-R", "a+rwX", "/opened")


def remove_everything() -> None:
    """Remove the containers and networks that this run of the suite has not removed yet."""
    for kind, remove in (("container", ("rm", "--force", "--volumes")), ("network", ("network", "rm"))):
        listing = ("ps", "--all") if kind == "container" else ("network", "ls")
        with contextlib.suppress(EngineError):
            for name in docker(*listing, "--quiet", "--filter", f"label={LABEL}").split():
                docker(*remove, name)
