"""`byoc try` as a process of its own, and requests to the page that it serves."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

BYOC = Path(sys.executable).parent / "byoc"


class Page:
    """A page that a `byoc try` serves."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process, self.address = process, address
        self.origin, _, self.token = address.partition("/?token=")

    def post(self, route: str, photo: Path, **query: str) -> Any:
        """Send a photo as the page does and return the answer."""
        headers = {"Origin": self.origin, "X-Byoc-Token": self.token}
        url = f"{self.origin}/{route}?{urlencode({'name': photo.name, **query})}"
        with urllib.request.urlopen(urllib.request.Request(url, photo.read_bytes(), headers), timeout=120) as answer:
            return json.load(answer)

    def ended(self) -> tuple[int, str, str]:
        """Return the exit status and the rest of what was printed on standard output and standard error."""
        assert self.process.stdout and self.process.stderr
        status = self.process.wait(300)
        return status, self.process.stdout.read(), self.process.stderr.read()


@contextlib.contextmanager
def tried(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Page]:
    """Run `byoc try` in a process group of its own, as a terminal does, until the block ends."""
    process = subprocess.Popen(
        [BYOC, "try", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | dict(environment or {}),
        text=True,
        start_new_session=True,
    )
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        assert line.startswith("page: http"), (line, process.stderr.read())
        yield Page(process, line.removeprefix("page: ").strip())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
