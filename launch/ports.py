"""Ports of this machine for servers that are told their port."""

import contextlib
import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DEFAULT = "32768"  # the first port of Linux's default range, for systems without that file


def free_port() -> int:
    """Return the number of a TCP port on 127.0.0.1 on which nothing listens now.

    The kernel gives connections ports of another range, and so it does for sockets that ask for any port. Thus none of them
    takes this port before its server listens, which may be a minute later.
    """
    first = _DEFAULT
    with contextlib.suppress(OSError):
        first = _RANGE.read_text().split()[0]
    while True:
        port = random.SystemRandom().randrange(10_000, max(int(first), 20_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
