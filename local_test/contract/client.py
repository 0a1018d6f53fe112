"""Sends HTTP requests one at a time, as the platform does, and runs the endpoint that gets them."""

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_test.contract.conditions import PORT, GivenUp
from local_test.contract.engine import Container, EngineError

PATIENCE = 480  # seconds to become ready, the same as on the platform
REPLY = 70  # seconds for a reply: the platform's 60, and some more for the transfer


@dataclass(frozen=True)
class Answer:
    """The answer to a request. If the connection broke, the status is 0 and the body is the reason."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    taken: bool = True  # False if no server took the request

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is not valid JSON."""
        with contextlib.suppress(ValueError):
            return json.loads(self.body)
        return None

    def brief(self) -> str:
        return f"{self.status} {self.text.strip()[:120]}" if self.status != 200 else "200"


def send(
    address: tuple[str, int],
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout: float = REPLY,
) -> Answer:
    """Send one request on a new connection."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        # A server may refuse a body before all of it was sent; its answer still counts.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body or None, dict(headers or {}))
        got = connection.getresponse()
        content = got.read()
        names = {name.lower(): value for name, value in got.getheaders()}
        return Answer(status=got.status, headers=names, body=content, seconds=time.monotonic() - begun)
    except (OSError, http.client.HTTPException) as error:
        reason = f"no answer: {type(error).__name__} {error}".strip()
        taken = not isinstance(error, ConnectionRefusedError)
        return Answer(status=0, headers={}, body=reason.encode(), seconds=time.monotonic() - begun, taken=taken)
    finally:
        connection.close()


class Endpoint(Container):
    """A serving container with its port published on the loopback interface."""

    # Set only for the endpoint that most clauses share: the seconds until it was ready, and its answer to a photo sent then.
    ready: float
    first: Answer

    def __init__(
        self,
        image: str,
        model: Path | None,
        options: Sequence[str] = (),
        *,
        environment: Mapping[str, str] | None = None,
        port: int = PORT,
        network: str | None = None,
    ) -> None:
        named = [part for pair in (environment or {}).items() for part in ("--env", "=".join(pair))]
        mounted = ("--volume", f"{model}:/opt/ml/model:ro") if model else ()
        ways = ("--network", network) if network else ("--publish", f"127.0.0.1::{port}")
        self.refusals: list[Answer] = []
        self.port = port
        super().__init__(image, ("serve",), [*named, *mounted, *ways, *options])
        try:
            # This fails if the container has already ended.
            self.place = (self.address(), port) if network else self.published(port)
        except EngineError:
            self.place = ("127.0.0.1", 9)

    def get(self, path: str, timeout: float = REPLY) -> Answer:
        return self._kept(send(self.place, "GET", path, timeout=timeout))

    def post(self, path: str, body: bytes, content_type: str | None = None, **headers: str) -> Answer:
        """Send a body. Other headers are keyword arguments with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type:
            named["Content-Type"] = content_type
        return self._kept(send(self.place, "POST", path, body, named))

    def invoke(self, body: bytes, content_type: str | None = None, **headers: str) -> Answer:
        return self.post("/invocations", body, content_type, **headers)

    def invoke_directly(self, body: bytes, content_type: str) -> Answer:
        """Send a body to the container's own address."""
        return send(self.direct(), "POST", "/invocations", body, {"Content-Type": content_type})

    def _kept(self, answer: Answer) -> Answer:
        if answer.status >= 400:
            self.refusals.append(answer)
        return answer

    def wait_ready(self, patience: float = PATIENCE) -> float:
        """Wait for the first 200 from /ping and return the seconds since the start; raises AssertionError."""
        while time.monotonic() - self.started < patience:
            if send(self.place, "GET", "/ping", timeout=2).status == 200:
                return time.monotonic() - self.started
            if not self.running():
                raise AssertionError(f"the container ended with status {self.status()}: {self.last_line()}")
            time.sleep(0.05)
        raise AssertionError(f"/ping did not answer 200 within {patience:g} s: {self.last_line()}")

    def healthy(self) -> str:
        """Return the status and size of the answer to /ping; raises AssertionError unless the status is 200."""
        answer = self.get("/ping")
        assert answer.status == 200, answer.brief()
        return f"/ping {answer.status} with {len(answer.body)} bytes"

    def gives_up(self, patience: float) -> GivenUp:
        """Wait for the end of a server that cannot serve. Until then, request /ping again and again."""
        pings, status = set[int](), None
        while status is None and time.monotonic() - self.started < patience:
            pings.add(self.get("/ping", timeout=2).status)
            status = self.wait(0.5)
        told = f"exit status {status}, /ping {sorted(pings - {0}) or 'unanswered'}; last line: {self.last_line()[:120]}"
        return GivenUp(how=told, said_ready=200 in pings, ended=status is not None, well=status == 0)

    def unreachable(self) -> bool:
        """Return True if connections to the container time out, and are not even refused."""
        return bool(self.place[0]) and send(self.place, "GET", "/", timeout=3).text.startswith(
            "no answer: TimeoutError"
        )

    def connect_seconds(self) -> float:
        """Return the seconds that opening a connection takes."""
        place, begun = self.direct(), time.monotonic()
        with socket.create_connection(place, timeout=5):
            return time.monotonic() - begun

    def direct(self) -> tuple[str, int]:
        """Return the container's own address on Linux, else the published one.

        The engine's proxy accepts connections to a published port even if the server does not.
        """
        address = self.address() if os.uname().sysname == "Linux" else ""
        return (address, self.port) if address else self.place

    def kill_all_but_the_first_process(self) -> None:
        """Kill every process inside except the one that the engine started; raises AssertionError if the container has no shell."""
        done = self.execute("/bin/sh", "-c", "kill -9 -1")
        assert done.returncode not in (125, 126, 127), (
            f"the container has no shell that can kill its processes: {done.stderr.strip()}"
        )

    def listening(self) -> set[int]:
        """Return the listening ports that other machines can reach, so not those of the loopback interface."""
        ports = set()
        table = self.execute("/bin/sh", "-c", "cat /proc/net/tcp /proc/net/tcp6").stdout
        for line in table.splitlines():
            fields = line.split()
            if len(fields) > 3 and fields[3] == "0A":
                address, _, port = fields[1].rpartition(":")
                if address not in ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"):
                    ports.add(int(port, 16))
        return ports
