"""An HTTPS proxy that leads requests for AWS's hosts to the emulator, so that a command's code runs unchanged.

Requests to other hosts are passed on unchanged. Requests to hosts of AWS that the emulator does not replace are refused, so that
nothing reaches a real account by accident.
"""

import contextlib
import re
import select
import socket
import ssl
import threading

from local_test.sagemaker.certificates import Authority

AWS = re.compile(r"(.+\.)?amazonaws\.com", re.IGNORECASE)
OTHER_AWS = re.compile(
    r"(.+\.)?(amazonaws\.com\.cn|api\.aws|on\.aws|aws\.dev|awsapps\.com|aws\.amazon\.com|app\.aws|aws)", re.IGNORECASE
)
CONNECT = re.compile(rb"CONNECT ([A-Za-z0-9.\-]+):(\d+) HTTP/1\.[01]\r\n")
BLOCK = 1 << 16
HEAD = 1 << 14  # the most bytes of a CONNECT request with its headers
PATIENCE = 30  # seconds for a handshake


class Proxy:
    """Listens on a loopback port until `end`."""

    def __init__(self, authority: Authority, emulator_port: int) -> None:
        self._authority = authority
        self._emulator_port = emulator_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def end(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # `end` has closed the port
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(PATIENCE)
            match = CONNECT.match(_head(connection))
            if not match:
                connection.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                return
            host, port = match[1].decode().rstrip("."), int(match[2])
            if AWS.fullmatch(host):
                self._emulate(connection, host)
            elif OTHER_AWS.fullmatch(host):
                _refuse(connection, f"{host} is a host of AWS that this emulator does not replace")
            else:
                _pass_on(connection, host, port)

    def _emulate(self, connection: socket.socket, host: str) -> None:
        """Answer in place of the host, with a certificate from this run's authority."""
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with (
            self._authority.context(host).wrap_socket(connection, server_side=True) as client,
            socket.create_connection(("127.0.0.1", self._emulator_port)) as emulator,
        ):
            _relay(client, emulator)


def _pass_on(connection: socket.socket, host: str, port: int) -> None:
    try:
        target = socket.create_connection((host, port), PATIENCE)
    except OSError as error:
        return _refuse(connection, f"{host}:{port} cannot be reached: {error}")
    with target:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        _relay(connection, target)


def _refuse(connection: socket.socket, sentence: str) -> None:
    body = f"{sentence}\n".encode()
    connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD:
        block = connection.recv(BLOCK)
        if not block:
            break
        head += block
    return head


def _relay(one: socket.socket, two: socket.socket) -> None:
    """Copy bytes in both directions until one side ends. One thread does both, since two may not use one TLS connection at a time."""
    for side in (one, two):
        side.settimeout(None)
    while True:
        waiting = isinstance(one, ssl.SSLSocket) and one.pending()
        ready = [one] if waiting else select.select([one, two], [], [])[0]
        for side in ready:
            block = side.recv(BLOCK)
            if not block:
                return
            (two if side is one else one).sendall(block)
