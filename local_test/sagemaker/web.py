"""The web server: cheroot's, which keeps connections open as AWS does, with a thread for every request that is being answered."""

import io
import socket
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import unquote

from cheroot.server import ChunkedRFile, HTTPConnection
from cheroot.wsgi import Gateway_10, Server
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)

from local_test.sagemaker.threads import Threads

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
BLOCK = 1 << 18
# Connections that wait to be accepted. Trap: cheroot's own number is 5; of 50 clients at once, some were then reset or waited a second.
WAITING = 1024
IDLE = (
    60  # seconds after which a connection that brings no request is closed, and a client that sends nothing is given up
)


class Gateway(Gateway_10):  # type: ignore[misc]  # cheroot's types are not complete
    """Hands a request to the application, and adds the facts about it that moto reads."""

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        raw: str = environ["REQUEST_URI"]
        environ["RAW_URI"] = raw
        if raw.startswith("/"):  # cheroot leaves %2F in a path as it is
            environ["PATH_INFO"] = unquote(raw.partition("?")[0], "latin-1")
        if self.req.chunked_read:
            environ["wsgi.input"] = io.BufferedReader(_Chunks(self.req.rfile), BLOCK)
        names = (name.decode("latin-1").lower() for name in self.req.inheaders)
        # S3's metadata may have underscores in their names, which WSGI cannot tell from hyphens.
        environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {
            environ_key_for_header(name): name for name in names if should_preserve_original_header_name(name)
        }
        return environ


class _Chunks(io.RawIOBase):
    """Reads a chunked body to its end, and the trailer lines after it. Trap: readline of cheroot's own reader never returns."""

    def __init__(self, source: ChunkedRFile) -> None:
        self._source = source
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = b"" if self._ended else self._source.read(len(buffer))
        if not block and not self._ended:
            self._ended = True
            list(self._source.read_trailer_lines())
        buffer[: len(block)] = block
        return len(block)


class _Requests:
    """Replaces cheroot's pool of threads, whose size is fixed. A request may wait a minute for a job, and must not block others."""

    min = 0

    def __init__(self, server: "WebServer") -> None:
        self._server = server
        self._threads = Threads()

    def start(self) -> None:
        """Do nothing: threads start with requests."""

    def stop(self, timeout: float) -> None:
        """Do nothing: what is still being answered ends with the process."""

    def put(self, connection: HTTPConnection) -> None:
        self._threads.run(partial(self._answer, connection))

    def _answer(self, connection: HTTPConnection) -> None:
        keep = False
        try:
            keep = connection.communicate()
        except ConnectionError:  # the client is gone
            pass
        except Exception:
            traceback.print_exc()
        if keep:
            self._server.put_conn(connection)
        else:
            connection.close()


class WebServer(Server):  # type: ignore[misc]
    """Answers on a socket that listens already."""

    keep_alive_conn_limit = None
    max_request_header_size = 1 << 16  # bytes

    def __init__(self, listener: socket.socket, application: Application) -> None:
        super().__init__(
            listener.getsockname(),
            _read_whole(application),
            server_name="127.0.0.1",
            request_queue_size=WAITING,
            timeout=IDLE,
        )
        self.gateway = Gateway
        self.requests = _Requests(self)
        self._listener = listener

    def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self._listener
        return self.socket

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Write errors that have a traceback. The other messages are about clients that closed their connection."""
        if traceback:
            super().error_log(msg, level, traceback)


def _read_whole(application: Application) -> Application:
    """Return an application that reads a request's body to its end, so that the next request can follow it."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"]
        try:
            return application(environ, start_response)
        finally:
            while body.read(BLOCK):
                pass

    return answer
