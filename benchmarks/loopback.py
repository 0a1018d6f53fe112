"""A bare copy over the loopback interface: what no HTTP server on it can beat by much."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

BLOCK = 1 << 20


def put(content: bytes, path: Path) -> None:
    """Send bytes to a thread that writes them to a file."""

    def receive(connection: socket.socket) -> None:
        block = memoryview(bytearray(BLOCK))
        with path.open("wb") as file:
            while size := connection.recv_into(block):
                file.write(block[:size])

    _copy(receive, lambda connection: connection.sendall(content))


def get(path: Path, size: int) -> None:
    """Receive a file of `size` bytes into memory."""

    def send(connection: socket.socket) -> None:
        with path.open("rb") as file:
            connection.sendfile(file)

    def receive(connection: socket.socket) -> None:
        rest = memoryview(bytearray(size))
        while rest:
            count = connection.recv_into(rest)
            if not count:
                raise RuntimeError(f"the copy of {path} ended {len(rest)} bytes early")
            rest = rest[count:]

    _copy(send, receive)


def _copy(server: Callable[[socket.socket], None], client: Callable[[socket.socket], None]) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            server(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(listener.getsockname()) as connection:
            client(connection)
        thread.join()
