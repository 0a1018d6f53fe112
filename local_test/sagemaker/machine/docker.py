"""Runs any image in a Docker Engine of this machine, as SageMaker runs it: mounts below /opt/ml, hosts' names, isolation.

Everything that it starts has the data folder as a label. So the next emulator on that folder finds what a killed emulator left.
"""

import json
import math
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.machine import DEFAULTS, Container, Running, engine
from local_test.sagemaker.machine.engine import EngineError, docker
from local_test.sagemaker.machine.networks import Networks
from local_test.sagemaker.machine.ownership import give_back

DATA, NAME = "byoc.emulate.data", "byoc.emulate.name"  # labels of containers and networks
SHARED_MEMORY = "64m"  # the size of /dev/shm (python-sdk#937)
STEP = 0.02  # seconds between two checks of a container that starts
KILLED = 137  # exit status after SIGKILL
NOT_STARTED = 125  # docker's own exit status if it cannot start a container
NOWHERE = ("127.0.0.1", 9)  # the address of a container that has ended at once, where nothing listens


class DockerMachine:
    """Starts containers for the emulator of one data folder."""

    interface = "eth0"
    protects = True

    def __init__(self, data: Path) -> None:
        self._label = f"{DATA}={data}"
        self._networks = Networks(("--label", self._label))

    def hosts(self, count: int) -> tuple[str, ...]:
        return tuple(f"algo-{number}" for number in range(1, count + 1))

    def check(self, image: str) -> None:
        try:
            docker("image", "inspect", "--format", "{{.Id}}", "--", image)
        except EngineError as error:
            raise invalid(
                f"the image {image} is not on this machine, and the emulator never pulls one: {error}; pull it with docker pull, or "
                "build it (this project's own: make build DEVICE=cpu)"
            ) from None

    def start(self, container: Container) -> Running:
        self.check(container.image)
        if container.isolated and container.port and engine.hides_addresses():
            raise not_emulated("network isolation of a model, in Docker Desktop or rootless Docker,")
        name = f"byoc-{container.name}-{uuid.uuid4().hex[:6]}"
        try:
            docker("create", "--name", name, *self._options(container), *_command(container))
            return self._started(name, container)
        except EngineError as error:
            self._removed(name, container)
            raise invalid(f"Docker cannot start {container.name} of the image {container.image}: {error}") from None

    def end_leftovers(self) -> list[str]:
        ended = []
        for name in self._listed("ps", "--all", "--format", "{{.Names}}"):
            with suppress(EngineError):  # Docker may be removing the container at this moment
                found = _inspected(name)
                if found["State"]["Running"]:
                    docker("kill", name)
                # Change the files' owner before the container is removed, so that this step can be repeated after an interruption.
                written = [Path(mount["Source"]) for mount in found["Mounts"] if mount["RW"]]
                give_back(written, found["Image"], ("--label", self._label))
                docker("rm", "--force", "--volumes", name)
                ended.append(found["Config"]["Labels"].get(NAME, name))
        for name in self._listed("network", "ls", "--format", "{{.Name}}"):
            with suppress(EngineError):
                docker("network", "rm", name)
                ended.append(f"the network {name}")
        return ended

    def _listed(self, *command: str) -> list[str]:
        try:
            return docker(*command, "--filter", f"label={self._label}").split()
        except EngineError:  # Docker was stopped
            return []

    def _started(self, name: str, container: Container) -> Running:
        # docker attaches before the container starts, so no line is lost, and the engine need not keep a copy of the output.
        attached = subprocess.Popen(
            ["docker", "start", "--attach", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        found = _inspected(name)
        while found["State"]["Status"] == "created" and attached.poll() is None:
            time.sleep(STEP)
            found = _inspected(name)
        return _Running(name, container, attached, _address(container, found), self._removed)

    def _options(self, container: Container) -> list[str]:
        options = ["--label", self._label, "--label", f"{NAME}={container.name}", "--pull", "never"]
        options += ["--log-driver", "none", "--hostname", container.host, "--shm-size", SHARED_MEMORY]
        for variable, value in (DEFAULTS | dict(container.environment)).items():
            options += ["--env", f"{variable}={value}"]
        for mount in container.mounts:
            options += engine.bind(mount.source, mount.target, mount.read_only)
        if container.memory:
            options += ["--memory", f"{container.memory}m", "--memory-swap", f"{container.memory}m"]
        if container.port and not container.isolated:
            options += ["--publish", f"127.0.0.1::{container.port}"]
        return [*options, *self._networks.join(container)]

    def _removed(self, name: str, container: Container) -> None:
        """Remove a container that has ended, and make the emulator's user the owner of its files."""
        written = [mount.source for mount in container.mounts if not mount.read_only]
        give_back(written, container.image, ("--label", self._label))
        with suppress(EngineError):
            docker("rm", "--force", "--volumes", name)
        self._networks.leave(container)


class _Running:
    """A container that was started. It is removed when it has ended."""

    def __init__(
        self,
        name: str,
        container: Container,
        attached: "subprocess.Popen[bytes]",
        address: tuple[str, int],
        removed: Callable[[str, Container], None],
    ) -> None:
        self._name = name
        self._container = container
        self._attached = attached  # the docker command, which runs as long as the container
        self._address = address
        self._removed = removed
        self._status: int | None = None
        self._out_of_memory = False
        self._ended = threading.Lock()

    def lines(self) -> Iterator[str]:
        assert self._attached.stdout
        with self._attached.stdout as output:
            for line in output:
                yield line.decode("utf-8", "replace").rstrip("\r\n")
        self.wait()
        if self._out_of_memory:
            memory = f"{self._container.memory} MB" if self._container.memory else "memory than this machine has"
            yield f"byoc emulate: the kernel ended a process of this container, which needed more than {memory}"

    def wait(self, seconds: float | None = None) -> int | None:
        try:
            self._attached.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        with self._ended:
            if self._status is None:
                status = self._last_status()
                self._removed(self._name, self._container)
                self._status = status
        return self._status

    def stop(self, grace: float) -> None:
        try:
            docker("stop", "-t", str(math.ceil(grace)), self._name, timeout=grace + 60)
        except EngineError:
            self.kill()
        self.wait()

    def kill(self) -> None:
        with suppress(EngineError):  # the container has ended already
            docker("kill", self._name)
        self.wait()

    def address(self) -> tuple[str, int]:
        assert self._container.port, "the container listens on no port"
        return self._address

    def path(self, path: PurePosixPath) -> str:
        return str(path)

    def _last_status(self) -> int:
        try:
            status = int(docker("wait", self._name, timeout=None))
            state = _inspected(self._name)["State"]
        except EngineError:  # the container was removed from outside
            return KILLED
        self._out_of_memory = bool(state["OOMKilled"])
        return status or (NOT_STARTED if state["Status"] == "created" else 0)


def _command(container: Container) -> list[str]:
    """Return the end of docker's command line. It begins with --, so that an image's name is never taken for an option."""
    first, *rest = container.entrypoint or [None]
    entrypoint = ["--entrypoint", first] if first else []
    return [*entrypoint, "--", container.image, *rest, *container.command]


def _inspected(name: str) -> dict[str, Any]:
    (found,) = json.loads(docker("inspect", "--type", "container", name))
    return dict(found)


def _address(container: Container, found: Mapping[str, Any]) -> tuple[str, int]:
    """Return the address at which this machine reaches a container's port: the published port, or else the container's own address."""
    if not container.port:
        return NOWHERE
    settings = found["NetworkSettings"]
    if container.isolated:
        addresses = [network["IPAddress"] for network in settings["Networks"].values()]
        return (addresses[0], container.port) if addresses and addresses[0] else NOWHERE
    published = settings["Ports"].get(f"{container.port}/tcp")
    return (published[0]["HostIp"], int(published[0]["HostPort"])) if published else NOWHERE
