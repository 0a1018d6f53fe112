"""The HTTP server of the page. It holds no photo between requests: each POST request contains its photo.

| request | answer |
| --- | --- |
| GET /?token=T | the page |
| POST /predict?name=N | the model's answer (reports.try_page.answer.Answer) |
| POST /look?label=L | where the model looked: `rows` and `crop` (reports.try_page.answer.Look) |
| POST /keep?name=N&label=L | `kept`, the path of the photo below the folder of --keep |
| POST /forget | `forgotten`: true if a kept photo was removed |

The body of each POST is the photo. An error is `{"message": "one sentence"}`.
"""

import json
import socket
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from classifier.errors import PhotoError, UserError
from classifier.names import one_line
from reports.try_page import guard
from reports.try_page.guard import Refusal
from reports.try_page.kept import photo_suffix
from reports.try_page.page import HEADERS, TryPage, html, policy

ROUTES = ("/predict", "/look", "/keep", "/forget")
AT_A_TIME = 8  # photos that are read or answered at the same time; a photo may have 25 MB
CONNECTIONS = 64
SILENCE = 30  # seconds after which a connection that sends nothing is closed
LINGER = 60  # seconds in which a client may finish sending after an error, so that it can read the answer


class TryServer(ThreadingHTTPServer):
    """Serves the page at one address, each connection in a thread. A photo is a file in `folder` while it is answered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], page: TryPage, token: str, folder: Path) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        self.page, self.token, self.folder = page, token, folder
        self.classes: set[str] = set()  # classes in the answers so far
        self.photos = threading.BoundedSemaphore(AT_A_TIME)
        self._connections = threading.BoundedSemaphore(CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing for an error of the connection. Print the traceback of any other error, which is a mistake in this program."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    server: TryServer
    server_version, sys_version = "byoc-try", ""
    timeout = SILENCE

    def do_GET(self) -> None:
        try:
            guard.check_host(self.headers)
            path, query = _address(self.path)
            if path != "/":
                raise Refusal(HTTPStatus.NOT_FOUND, f"there is nothing at {path[:100]}")
            guard.check_token(query.get("token", ""), self.server.token)
        except Refusal as refused:
            self._send(refused.status, f"byoc try: {refused}\n".encode(), "text/plain; charset=utf-8")
        else:
            page = html(self.server.page, self.server.token)
            self._send(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8", policy())

    def do_POST(self) -> None:
        name = ""
        try:
            guard.check_host(self.headers)
            length = guard.check_post(self.headers, self.server.token)
            path, query = _address(self.path)
            name = query.get("name", "")
            if path not in ROUTES:
                raise Refusal(HTTPStatus.NOT_FOUND, f"there is nothing at {path[:100]}")
            if not self.server.photos.acquire(timeout=SILENCE):
                raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "other photos are being answered; try again")
            try:
                answer = self._answer(path, query, length)
            finally:
                self.server.photos.release()
            self._send_json(HTTPStatus.OK, answer)
        except Refusal as refused:
            self._send_error(refused.status, str(refused))
        except Exception as error:
            # An error of the connection: no answer can be sent.
            if isinstance(error, OSError) and error.filename is None:
                raise
            status, sentence = _explained(error, name)
            self._send_error(status, sentence)

    def _answer(self, route: str, query: dict[str, str], length: int) -> object:
        page, name = self.server.page, query.get("name", "")
        with tempfile.NamedTemporaryFile(dir=self.server.folder, prefix="photo-", suffix=photo_suffix(name)) as file:
            self._read_into(file, length)
            path = Path(file.name)
            if route == "/predict":
                answer = page.ask(path)
                self.server.classes |= {label.name for label in answer.labels}
                return asdict(answer)
            if route == "/look":
                if not page.looker:
                    raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, page.no_look)
                return asdict(page.looker(path, query.get("label", "")))
            if not page.kept:
                raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, page.no_keep)
            data = path.read_bytes()
            if route == "/forget":
                return {"forgotten": page.kept.forget(data)}
            return {"kept": str(page.kept.keep(data, name, query.get("label", ""), self.server.classes))}

    def _read_into(self, file: Any, length: int) -> None:
        left = length
        while left and (piece := self.rfile.read(min(left, 1 << 20))):
            try:
                file.write(piece)
                file.flush()
            except OSError as error:
                sentence = f"the photo cannot be written to {self.server.folder}: {error.strerror}; make room there"
                raise Refusal(HTTPStatus.INSUFFICIENT_STORAGE, sentence) from error
            left -= len(piece)
        if left:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the photo ended too early; send it again")

    def _send_json(self, status: HTTPStatus, value: object) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send_error(self, status: HTTPStatus, sentence: str) -> None:
        """Send the answer, then read the rest of the request: if the connection closed before that, the client would not see the answer."""
        self._send_json(status, {"message": sentence})
        self.wfile.flush()
        until = time.monotonic() + LINGER
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while time.monotonic() < until and self.connection.recv(1 << 16):
                pass
        except OSError:
            pass

    def _send(self, status: HTTPStatus, body: bytes, kind: str, content_policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        headers = {**HEADERS, "Content-Security-Policy": content_policy, "Content-Type": kind}
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing, because the line would hold the token."""


def _address(text: str) -> tuple[str, dict[str, str]]:
    """Return the path of a request's address, and the first value of each parameter. Raises Refusal for an address that is not valid."""
    try:
        parts = urlsplit(text)
        query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=8)
    except ValueError:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the request's address is not valid") from None
    return parts.path, {name: values[0] for name, values in query.items()}


def _explained(error: Exception, name: str) -> tuple[HTTPStatus, str]:
    """Return status and sentence for an error about the photo `name`. The traceback of an unexpected error goes to the terminal."""
    if isinstance(error, PhotoError):
        return HTTPStatus.UNPROCESSABLE_ENTITY, f"{one_line(name) or 'the photo'} is not a usable photo: {error}"
    if isinstance(error, UserError):
        return HTTPStatus.UNPROCESSABLE_ENTITY, str(error)
    if isinstance(error, OSError):
        return HTTPStatus.INTERNAL_SERVER_ERROR, f"{one_line(error.filename)} cannot be used: {error.strerror}"
    traceback.print_exception(error)
    return HTTPStatus.INTERNAL_SERVER_ERROR, "byoc try failed; its terminal says why"
