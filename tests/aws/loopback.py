"""Refuses every socket that would leave this machine, in the process that imports it; children/ does so in other processes.
Each refusal is also written to the file that BYOC_TEST_REACHED names, because a program may hide the error.
"""

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

EVENTS = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
}
active = True


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not active or event not in EVENTS:
        return
    address = arguments[EVENTS[event]]
    host = address[0] if isinstance(address, tuple) else address
    # A string is the path of a Unix socket.
    if (isinstance(address, str) and event == "socket.connect") or _is_here(host):
        return
    if file := os.environ.get("BYOC_TEST_REACHED"):
        with Path(file).open("a") as reached:
            reached.write(f"{event} {host} {sys.argv[:3]}\n")
    raise PermissionError(f"a test may not leave this machine: {event} {host}")


def _is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    # A host that is not text belongs to another kind of socket; the two texts name this machine.
    if not isinstance(host, str) or host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(_watch)
