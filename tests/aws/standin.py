"""A stand-in for services of AWS that the local SageMaker lacks, over HTTP; and a proxy to the local SageMaker that can fail."""

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answers = dict[str, Callable[[dict[str, Any]], dict[str, Any]]]


class Refusal(Exception):
    """A refusal by AWS: its code and text."""


@dataclass
class Standin:
    """A server; `asked` lists the actions that were called, with their requests."""

    url: str
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@contextlib.contextmanager
def answering(answers: Answers) -> Iterator[Standin]:
    """Answer JSON 1.1 actions by their names while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            action = self.headers["X-Amz-Target"].rpartition(".")[2]
            found.asked.append((action, request))
            try:
                self.answer(200, answers[action](request))
            except Refusal as refusal:
                self.answer(400, {"__type": refusal.args[0], "message": refusal.args[1]})

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Standin(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Way:
    """A proxy to a server: it loses the next `cut` requests, and the answers of the actions in `lost`, each once.

    It holds the answers of the action `holds` until `free` is set. `seen` are the actions that the server has answered.
    """

    url: str
    holds: str
    cut: int = 0
    lost: list[str] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)
    seen: list[str] = field(default_factory=list)


@contextlib.contextmanager
def way(to: str, holds: str = "") -> Iterator[Way]:
    """Pass requests on to a server during the block."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.cut > 0:
                found.cut -= 1
                self.close_connection = True
                return
            request = urllib.request.Request(f"{to}{self.path}", body, dict(self.headers.items()), method="POST")
            try:
                with direct.open(request, timeout=60) as answer:
                    status, content = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, content = error.code, error.read()
            action = self.headers["X-Amz-Target"].rpartition(".")[2]
            found.seen.append(action)
            if action in found.lost:
                found.lost.remove(action)
                self.close_connection = True
                return
            if action == found.holds:
                found.free.wait(60)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has closed the connection
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Way(f"http://127.0.0.1:{server.server_port}", holds)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        found.free.set()
        server.shutdown()
        thread.join()
        server.server_close()
