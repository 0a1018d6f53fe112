"""Serves one page on the loopback address. No request changes anything.

The server checks the header Host. Otherwise a web page whose host name resolves to this machine could read the report.
"""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from classifier.errors import ConfigError
from reports.page.document import Report
from reports.page.render import html, json_text

HOST = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost", "[::1]")
SECONDS = 10  # a connection is closed after this many seconds without data


@dataclass(frozen=True, kw_only=True)
class _Answer:
    page: bytes
    facts: bytes
    tag: str  # ETag of the page


class LivePage:
    """The page that is served now. One thread replaces it; other threads send it."""

    def __init__(self, report: Report) -> None:
        self._lock = threading.Lock()
        self._state = ""
        self.renew(report, "")

    def renew(self, report: Report, state: str) -> None:
        """Serve this report from now on. `state` is one sentence on what the run does now."""
        page = html(report, followed=True).encode()
        facts = json_text(report).encode()
        tag = f'"{hashlib.sha256(page).hexdigest()[:32]}"'
        with self._lock:
            self._answer, self._state = _Answer(page=page, facts=facts, tag=tag), state

    def say(self, state: str) -> None:
        """Serve the same report with a new `state`."""
        with self._lock:
            self._state = state

    def now(self) -> tuple[_Answer, str]:
        """Return the current page, and the sentence on what the run does now."""
        with self._lock:
            return self._answer, self._state


@contextmanager
def serving(page: LivePage, port: int = 0) -> Iterator[str]:
    """Serve the page while the block lasts, and yield its address. Port 0 is any free port. Raises ConfigError if the port is in use."""
    try:
        server = _Server((HOST, port), _handler(page))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"port {port} cannot be used: {reason}; name another with --port") from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # the end of serving must not wait for a browser, which keeps its connection open

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close the connections too: their threads would go on answering."""
        super().server_close()
        for connection in list(self._connections):
            with suppress(OSError):  # the client has just closed it
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print no traceback: the usual error is a client that has disconnected."""


def _handler(page: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "byoc", ""
        timeout = SECONDS

        def do_GET(self) -> None:
            if not _is_here(self.headers.get("Host", ""), self.connection.getsockname()[1]):
                return self._send(421, b"this page is served to this machine alone, as 127.0.0.1 or localhost\n")
            answer, state = page.now()
            headers = {"ETag": answer.tag, "X-Byoc-State": quote(state)}
            match self.path.partition("?")[0]:
                case "/" if self.headers.get("If-None-Match") == answer.tag:
                    self._send(304, b"", headers)
                case "/":
                    self._send(200, answer.page, headers, "text/html; charset=utf-8")
                case "/report.json":
                    self._send(200, answer.facts, headers, "application/json")
                case _:
                    self._send(404, b"the report is at /, its facts at /report.json\n")

        do_HEAD = do_GET

        def _send(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, kind: str = "text/plain"
        ) -> None:
            self.send_response(status)
            for name, value in {
                **(headers or {}),
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Frame-Options": "DENY",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, form: str, *arguments: object) -> None:
            """Write no log of requests, so that the terminal shows only lines about the report."""

    return Handler


def _is_here(host: str, port: int) -> bool:
    """Return whether the header Host names this machine."""
    return host in {f"{name}:{port}" for name in NAMES} or (port == 80 and host in NAMES)
