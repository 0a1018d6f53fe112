"""The port for a server that listens only after it has loaded its model."""

import socket
from pathlib import Path

from launch.ports import free_port


def test_a_port_for_a_server_is_none_that_the_kernel_gives_to_another_socket() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for _ in range(50):
        port = free_port()
        assert 10_000 <= port < first
        with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", 0)) as other:
            assert first <= other.getsockname()[1] <= last
