"""A stand-in for services of AWS that the local SageMaker lacks: it answers what a test hands it, over HTTP."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answers = dict[str, Callable[[dict[str, Any]], dict[str, Any]]]


class Refusal(Exception):
    """What an answer is when AWS refuses: its code and text."""


@dataclass
class Standin:
    """A server; `asked` are the actions that were called, with their requests."""

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
