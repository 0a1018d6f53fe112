"""local_test/predict.sh, with a server that notes what it gets."""

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from serve.formats import PHOTO_TYPES
from tests.conftest import ROOT


class Noting(HTTPServer):
    """A server that answers each request with 200 and notes its content type."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.types: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Noting

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.types.append(self.headers["Content-Type"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Noting]:
    with Noting() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_each_photo_is_sent_with_the_type_of_its_suffix(server: Noting, tmp_path: Path) -> None:
    types = sorted(kind for kind in PHOTO_TYPES if kind.startswith("image/"))
    for kind in types:
        (tmp_path / f"photo.{kind.removeprefix('image/')}").write_bytes(b"x")
    url = f"http://127.0.0.1:{server.server_port}"
    subprocess.run(
        [ROOT / "local_test" / "predict.sh", tmp_path], env={"URL": url, "PATH": "/usr/bin:/bin"}, check=True
    )
    assert sorted(server.types) == types
