"""Ports of this machine for servers and processes that a test starts."""

import contextlib
import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return the number of a TCP port on 127.0.0.1 on which nothing listens now.

    The kernel takes the ports of outgoing connections from another range, so no connection takes this port before the test uses it.
    """
    first = int(_RANGE.read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, max(first, 20_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
