"""Networks of containers: one for the hosts of a job, and one for isolated containers."""

import threading
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from local_test.sagemaker.machine import Container
from local_test.sagemaker.machine.engine import EngineError, docker


@dataclass
class Networks:
    """Docker's networks. A network is made for its first container and removed after its last one; `labels` are options for docker."""

    labels: tuple[str, ...]
    _ids: dict[str, str] = field(default_factory=dict)
    _members: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def join(self, container: Container) -> tuple[str, ...]:
        """Return docker's options that put a container on its network; raises EngineError."""
        name = _name(container)
        if name is None:
            return ()
        with self._lock:
            self._members[name] += 1
            if name not in self._ids:
                own = f"byoc-{uuid.uuid4().hex[:12]}"
                self._ids[name] = docker("network", "create", *self.labels, *_kind(container), own)
        # An isolated container uses itself as its DNS server, since an engine may forward DNS queries to the outside.
        resolver = ("--dns", "0.0.0.0") if container.isolated else ()
        return ("--network", self._ids[name], "--network-alias", container.host, *resolver)

    def leave(self, container: Container) -> None:
        """Remove a container that no longer exists, or was never made, from its network's list."""
        name = _name(container)
        if name is None:
            return
        with self._lock:
            self._members[name] -= 1
            if not self._members[name] and (identity := self._ids.pop(name, None)):
                with suppress(EngineError):
                    docker("network", "rm", identity)


def _name(container: Container) -> str | None:
    """Return the name of a container's network; None means the engine's default network."""
    return container.network or (container.name if container.isolated else None)


def _kind(container: Container) -> tuple[str, ...]:
    if not container.isolated:
        return ()
    # Through an internal network a container can still reach this machine, at the machine's own address in that network. So the
    # machine gets an address there only if it must reach a port of the container.
    hidden = () if container.port else ("--opt", "com.docker.network.bridge.inhibit_ipv4=true")
    return ("--internal", *hidden)
