"""Sends HTTP requests to a container, on connections that stay open."""

import http.client
import queue
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Body = bytes | Path | None  # a file is sent in blocks, so it is never in memory as a whole


class Gone(Exception):
    """The container does not answer, because it has ended or is ending."""


class TimedOut(Exception):
    """The container has not answered in time."""


@dataclass(frozen=True)
class Answer:
    """A container's answer; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Client:
    """The connections to one container. An invocation takes a free connection, or opens a new one."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._free: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def ask(self, method: str, path: str, seconds: float, headers: Mapping[str, str], body: Body) -> Answer:
        """Return the container's answer; raises Gone and TimedOut."""
        try:
            connection = self._free.get_nowait()
        except queue.Empty:
            return self._ask(self._new(), method, path, seconds, headers, body)
        try:
            return self._ask(connection, method, path, seconds, headers, body)
        except Gone:
            # The server may have closed the idle connection. The request has then not reached the server, so send it again.
            return self._ask(self._new(), method, path, seconds, headers, body)

    def close(self) -> None:
        while not self._free.empty():
            self._free.get_nowait().close()

    def _new(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        seconds: float,
        headers: Mapping[str, str],
        body: Body,
    ) -> Answer:
        connection.timeout = seconds
        if connection.sock:
            connection.sock.settimeout(seconds)
        try:
            _send(connection, method, path, headers, body)
            if hasattr(socket, "TCP_QUICKACK"):
                # A program that sends headers and body separately would wait 40 ms for our acknowledgement of the headers.
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            response = connection.getresponse()
            answer = Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        except TimeoutError:
            connection.close()
            raise TimedOut from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Gone(str(error)) from error
        if response.will_close:
            connection.close()
        else:
            self._free.put(connection)
        return answer


def _send(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: Body
) -> None:
    if not isinstance(body, Path):
        return connection.request(method, path, body, dict(headers))
    with body.open("rb") as file:
        size = str(body.stat().st_size)
        connection.request(method, path, file, {**headers, "Content-Length": size})
