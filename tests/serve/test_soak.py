"""Mixed load for minutes: good, bad, huge, slow and aborted requests while workers are killed.

No answer may be wrong. Only requests in a killed worker may be lost. Memory must stay flat after five minutes.
BYOC_SOAK_SECONDS sets the duration (default 120 s; the long test 1,800 s).
"""

import asyncio
import base64
import collections
import contextlib
import gzip
import io
import json
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from PIL import Image

from launch.server import serving
from tests import server
from tests.conftest import wait_for_all_workers
from tests.image_files import encoded, png
from tests.server import until
from tests.wire import ask, metric

WORKERS = 2
KILL_SECONDS = 20.0  # minimal time between the killing of two workers
SAMPLE_SECONDS = 1.0
CLOSE = 0.01  # maximal difference of a probability from the idle server's


@dataclass(frozen=True)
class Sent:
    """A request, the status that it must get, and the idle server's answer."""

    name: str
    body: bytes
    content_type: str = "image/jpeg"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    answer: Any = None


@pytest.mark.soak
def test_two_minutes_of_mixed_load_lose_and_spoil_nothing(
    model: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = float(os.environ.get("BYOC_SOAK_SECONDS", "120"))
    monkeypatch.setenv("SAGEMAKER_MODEL_SERVER_WORKERS", str(WORKERS))
    soak(model, samples, tmp_path / "log.txt", seconds, warm_up=seconds / 2)


@pytest.mark.long
def test_half_an_hour_of_mixed_load_loses_and_spoils_nothing(
    model: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = float(os.environ.get("BYOC_SOAK_SECONDS", "1800"))
    monkeypatch.setenv("SAGEMAKER_MODEL_SERVER_WORKERS", str(WORKERS))
    soak(model, samples, tmp_path / "log.txt", seconds, warm_up=min(300.0, seconds / 2))


def soak(model: Path, samples: Path, log: Path, seconds: float, *, warm_up: float) -> None:
    """Load a server for `seconds`; memory counts after the warm-up."""
    with serving(model, 0, log) as url:
        wait_for_all_workers(url)
        load = Load(url, {kind: [quiet(url, sent) for sent in requests] for kind, requests in mixed(samples).items()})
        asyncio.run(load.run(seconds, warm_up))
        oldest, all_of_them = load.survivors(), thirds(load.totals)
        until("a killed worker is replaced", lambda: metric(url, "byoc_workers_ready") >= WORKERS)
        for sent in load.requests["good"]:
            check(sent, *answered(url, sent))
        restarts = metric(url, "byoc_worker_restarts_total")
    lines = log.read_text()
    print(
        f"soak: {seconds:g} s, {load.kills} workers killed, {len(load.lost)} requests lost with them, {restarts:g} restarts"
    )
    print(f"soak: {dict(sorted(load.counts.items()))}")
    print(
        f"soak: resident MB at most, by thirds after the warm-up: {oldest} of what was never killed, {all_of_them} of all"
    )
    assert "Traceback" not in lines, lines[lines.index("Traceback") - 300 :][:1500]
    # A worker has one request at a time, so each killed worker loses at most one.
    assert load.kills > 0 and restarts > 0
    assert len(load.lost) <= load.kills, load.lost
    # Heaps and the allocator's arenas grow in the first minutes. So a short run prints the figures but does not check them.
    if seconds >= 600:
        assert oldest[-1] <= 1.05 * oldest[0], oldest
        assert all_of_them[-1] <= 1.05 * all_of_them[0], all_of_them
    for kind in ("good", "bad", "huge", "slow", "aborted"):
        assert load.counts[kind] >= seconds / 20, load.counts


def mixed(samples: Path) -> dict[str, list[Sent]]:
    """Return the requests by kind; `huge` ones hold photos of a camera's or a scanner's size."""
    photos = [next((samples / "test" / name).iterdir()).read_bytes() for name in ("coffee", "brick", "rocket")]
    image = Image.open(io.BytesIO(photos[0])).convert("RGB")
    camera, scan = image.resize((4000, 3000)), image.resize((2600, 2600))
    good = [Sent(f"photo {number}", photo) for number, photo in enumerate(photos)]
    good += [Sent("png", encoded(image, "png"), "image/png"), Sent("webp", encoded(image, "webp"), "image/webp")]
    good += [Sent("instances", instances(photos * 2), "application/json")]
    return {
        "good": good,
        "huge": [
            Sent("12 megapixels", encoded(camera, "jpeg", quality=90)),
            Sent("12 megapixels, progressive", encoded(camera, "jpeg", quality=90, progressive=True)),
            Sent("12 megapixels, png", encoded(camera, "png", compress_level=1), "image/png"),
            Sent("20 MB", encoded(scan, "tiff"), "image/tiff"),
            Sent("60 instances", instances(photos * 20), "application/json"),
        ],
        "bad": [
            Sent("truncated", photos[0][: len(photos[0]) // 2], status=422),
            Sent("text", b"hello", status=422),
            Sent("bomb", png(60_000, 60_000), "image/png", status=422),
            Sent("empty", b"", status=400),
            Sent("type", b"1,2", "text/csv", status=415),
            Sent("accept", photos[0], status=406, headers=(("Accept", "text/html"),)),
            Sent("json", b'{"instances": [', "application/json", status=400),
            Sent("deep", b"[" * 100_000, "application/json", status=400),
            Sent("base64", b'{"instances": [{"b64": "*"}]}', "application/json", status=400),
            Sent("packed", gzip.compress(bytes(2**20) * 64), status=413, headers=(("Content-Encoding", "gzip"),)),
        ],
    }


def thirds(values: list[float]) -> list[int]:
    """Return the highest value of each third, in MB."""
    third = max(1, len(values) // 3)
    return [round(max(part) / 2**20) for part in (values[:third], values[third:-third] or values, values[-third:])]


def instances(photos: list[bytes]) -> bytes:
    return json.dumps({"instances": [{"b64": base64.b64encode(photo).decode()} for photo in photos]}).encode()


def answered(url: str, sent: Sent) -> tuple[int, Any]:
    answer = ask(url, "POST", "/invocations", sent.body, {"Content-Type": sent.content_type, **dict(sent.headers)})
    return answer.status, answer.json


def quiet(url: str, sent: Sent) -> Sent:
    """Return the request with the answer of a server that has nothing else to do."""
    status, answer = answered(url, sent)
    assert status == sent.status, (sent.name, status, answer)
    return Sent(sent.name, sent.body, sent.content_type, status, sent.headers, answer)


def check(sent: Sent, status: int, answer: Any) -> None:
    """Assert that an answer equals the idle server's."""
    assert status == sent.status, (sent.name, status, answer)
    if status != 200:
        assert answer["code"] == status and answer["message"] == sent.answer["message"], (sent.name, answer)
        return
    rows, expected = answer["predictions"], sent.answer["predictions"]
    for row, right in zip(*(one if isinstance(one[0], list) else [one] for one in (rows, expected)), strict=True):
        assert row[0]["label"] == right[0]["label"], (sent.name, row, right)
        assert abs(row[0]["probability"] - right[0]["probability"]) <= CLOSE, (sent.name, row, right)


class Load:
    """Clients of every kind for one server, and a thread that kills its workers."""

    def __init__(self, url: str, requests: dict[str, list[Sent]]) -> None:
        self._url, self.requests = url, requests
        self.counts: collections.Counter[str] = collections.Counter()
        self.lost: list[tuple[float, str, str]] = []
        self.kills = 0
        self.totals: list[float] = []  # memory of all processes, from /metrics
        self._each: list[dict[int, int]] = []  # the memory of each process

    async def run(self, seconds: float, warm_up: float) -> None:
        """Load the server; raises AssertionError at the first wrong answer."""
        self._pause = max(KILL_SECONDS, seconds / 12)
        clients: list[Callable[[], Awaitable[None]]] = [self._good, self._good, self._bad, self._huge]
        clients += [self._slow, self._slow, self._aborted, self._kill]
        timeout = aiohttp.ClientTimeout(total=90)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as self._client,
            asyncio.TaskGroup() as group,
        ):
            for sent in self.requests["huge"]:  # each worker has answered each huge request before memory is measured
                await asyncio.gather(*(self._send("huge", sent) for _ in range(WORKERS)))
            start = time.monotonic()
            for client in clients:
                group.create_task(self._until(start + seconds, client))
            group.create_task(self._watch(start + warm_up, start + seconds))

    def survivors(self) -> list[int]:
        """Return the highest memory (MB) in each third of the run, of the processes that were never killed; leaks show in these."""
        lived = set(self._each[0]) & set(self._each[-1])
        return thirds([sum(sizes.get(pid, 0) for pid in lived) for sizes in self._each])

    async def _until(self, end: float, work: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < end:
            await work()

    async def _send(self, kind: str, sent: Sent, body: Any = None) -> None:
        headers = {"Content-Type": sent.content_type, **dict(sent.headers)}
        data = io.BytesIO(sent.body) if body is None else body
        async with self._client.post(f"{self._url}/invocations", data=data, headers=headers) as got:
            answer = await got.json()
            if got.status == 503:  # allowed only if the request's own worker ended
                assert "the worker that had this request ended" in answer["message"], (sent.name, answer)
                self.lost.append((time.monotonic(), kind, sent.name))
            else:
                check(sent, got.status, answer)
        self.counts[kind] += 1

    async def _good(self) -> None:
        await self._send("good", random.choice(self.requests["good"]))

    async def _bad(self) -> None:
        await self._send("bad", random.choice(self.requests["bad"]))
        await asyncio.sleep(0.02)

    async def _huge(self) -> None:
        await self._send("huge", random.choice(self.requests["huge"]))
        await asyncio.sleep(0.2)

    async def _slow(self) -> None:
        sent = random.choice(self.requests["good"])

        async def trickle() -> Any:
            size = max(1, len(sent.body) // 20)
            for place in range(0, len(sent.body), size):
                await asyncio.sleep(0.05)
                yield sent.body[place : place + size]

        await self._send("slow", sent, trickle())

    async def _aborted(self) -> None:
        # A request that a worker already has is computed anyway, and many huge ones would leave no time for the others.
        sent = random.choice(self.requests["good"] * 4 + self.requests["huge"])
        host, _, port = self._url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /invocations HTTP/1.1\r\nHost: {host}\r\nContent-Type: {sent.content_type}\r\n"
        whole = f"{head}Content-Length: {len(sent.body)}\r\n\r\n".encode() + sent.body
        writer.write(whole[: random.choice([10, 100, len(whole) // 2, len(whole)])])
        await asyncio.sleep(random.uniform(0, 0.1))
        writer.transport.abort()
        self.counts["aborted"] += 1
        await asyncio.sleep(0.5)

    async def _kill(self) -> None:
        """Kill the youngest worker. The others live on, so that their leaks would be seen."""
        await asyncio.sleep(self._pause)
        workers = await asyncio.to_thread(self._workers)
        if len(workers) >= WORKERS:  # the other worker keeps serving
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended by itself
                workers[-1].kill()
                # Wait for its end: a worker killed at the end of the load might still count as ready when the good photos are sent again.
                await asyncio.to_thread(psutil.wait_procs, workers[-1:], 60)
                self.kills += 1
                self.counts["kills"] += 1

    def _workers(self) -> list[psutil.Process]:
        if metric(self._url, "byoc_workers_ready") < WORKERS:
            return []
        return sorted(server.workers(os.getpid()), key=lambda process: process.create_time())

    async def _watch(self, begin: float, end: float) -> None:
        await asyncio.sleep(max(0.0, begin - time.monotonic()))
        while time.monotonic() < end:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _look(self) -> None:
        self.totals.append(metric(self._url, "byoc_resident_memory_bytes"))
        sizes = {}
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes[process.pid] = process.memory_info().rss
        self._each.append(sizes)
