"""Ports of this machine for servers and processes that a test starts."""

import socket


def free_port() -> int:
    """Return the number of a TCP port on 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
