"""Waiting for the other hosts of a job: their names may resolve only some time after the job has started."""

import socket
import threading
import time
from collections.abc import Iterable

from classifier.errors import ConfigError
from train import stop
from train.environment import HOSTS_DEADLINE

RETRY_SECONDS = 1.0


def wait_for_hosts(hosts: Iterable[str], deadline_seconds: float | None = None) -> None:
    """Return once every host name resolves.

    Raises ConfigError after `deadline_seconds` (by default those of BYOC_HOSTS_DEADLINE), with the names that do not
    resolve. Raises Stopped on SIGTERM.
    """
    seconds = HOSTS_DEADLINE.read() if deadline_seconds is None else deadline_seconds
    end, over, printed = time.monotonic() + seconds, threading.Event(), False
    resolved = {host: threading.Event() for host in hosts}
    for host, event in resolved.items():
        # A resolver can block for minutes and cannot be interrupted, so it runs in a thread that ends with the process.
        threading.Thread(target=_resolve, args=(host, event, over), daemon=True).start()
    try:
        while missing := [host for host, event in resolved.items() if not event.is_set()]:
            left = end - time.monotonic()
            if left <= 0:
                raise ConfigError(
                    f"no address was found within {seconds:g} s for {', '.join(missing)}; check that every host of the job "
                    f"has started on the same network, or set {HOSTS_DEADLINE.name} to more seconds"
                )
            if stop.requested.is_set():
                raise stop.Stopped(f"stopped by SIGTERM while waiting for the addresses of {', '.join(missing)}")
            if not printed and left < seconds - RETRY_SECONDS / 2:
                printed = True
                print(f"waiting up to {seconds:g} s for the addresses of {', '.join(missing)}", flush=True)
            resolved[missing[0]].wait(min(left, 0.2))
    finally:
        over.set()


def _resolve(host: str, resolved: threading.Event, over: threading.Event) -> None:
    while not over.is_set():
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):  # UnicodeError: the name is not a valid host name
            over.wait(RETRY_SECONDS)
        else:
            return resolved.set()
