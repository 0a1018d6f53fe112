"""HTTP as an attacker would use it: requests as raw bytes, and text that must never be in an answer."""

import contextlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# A traceback, one of our files or a library's, a folder of the server, or versions of its libraries.
LEAK = re.compile(r'Traceback|File "|\.py\b|/tmp/|/opt/|site-packages|[Pp]ython/?\s?3|aiohttp|multi-model|PIL\.')

HEAD = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"


class Answer:
    """A status, the headers and the body's bytes."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Answer:
    with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=timeout)) as connection:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def post(url: str, body: bytes, content_type: str = "image/jpeg", **headers: str) -> Answer:
    return ask(url, "POST", "/invocations", body, {"Content-Type": content_type, **headers})


def connect(url: str, timeout: float = 60) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def exchange(url: str, sent: bytes) -> bytes:
    """Send bytes unchanged and return everything that comes back until the server closes or is silent for a second.

    The first answer may take a minute.
    """
    with connect(url, timeout=60) as connection:
        connection.sendall(sent)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65536):
                received += part
                connection.settimeout(1)
        return received


def check_refusal(answer: Answer, *statuses: int) -> str:
    """Return the sentence of an error, after checking its form: JSON with three keys, one line, no traceback, no path."""
    assert answer.status in statuses, (answer.status, answer.body[:300])
    document = answer.json
    assert document.keys() == {"code", "message", "request_id"} and document["code"] == answer.status
    sentence: str = document["message"]
    assert sentence and "\n" not in sentence and len(sentence) < 600
    assert not LEAK.search(answer.body.decode() + str(answer.headers)), answer.body
    return sentence


def raw_answers(received: bytes) -> list[tuple[int, bytes]]:
    """Split the bytes from one connection into answers, and return the status and body of each."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        answers.append((int(head.split()[1]), rest[:length]))
        received = rest[length:]
    return answers


def metric(url: str, name: str) -> float:
    text = ask(url, "GET", "/metrics").body.decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


@contextlib.contextmanager
def memory_grows_by_at_most(url: str, limit: int) -> Iterator[None]:
    """Read the server's memory continuously while the block runs, and fail if it ever grew by more than `limit` bytes."""
    before = metric(url, "byoc_resident_memory_bytes")
    highest, ended = [before], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            highest.append(metric(url, "byoc_resident_memory_bytes"))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            ended.set()
        watching.result()
    highest.append(metric(url, "byoc_resident_memory_bytes"))
    assert max(highest) - before < limit, f"{(max(highest) - before) / 2**20:.0f} MiB more in {len(highest)} readings"
