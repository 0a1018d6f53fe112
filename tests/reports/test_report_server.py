"""`byoc report --endpoint URL` with a real server that answers requests with real photos."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.java_command import java
from tests.conftest import byoc, needs_torch
from tests.ports import free_port
from tests.reports.browsing import DESKTOP, Visit, chromium, needs_chromium
from tests.server import get, metric, post, started, until, wait_for

pytestmark = [needs_torch, pytest.mark.slow]
BYOC = Path(sys.executable).parent / "byoc"


@pytest.fixture(scope="module")
def url(model: Path, photos: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that has answered sixteen photos and refused two bodies that are not photos."""
    port, folder = free_port(), tmp_path_factory.mktemp("served")
    with started(model, port, folder, JAVA_HOME=str(held_java(folder))) as process:
        address = f"http://127.0.0.1:{port}"
        until("/metrics answers while the model is being loaded", lambda: answers(address))
        assert metric(address, "byoc_workers_ready") == 0 and "byoc_start_seconds" not in get(f"{address}/metrics")
        (folder / "go").touch()
        wait_for(process, address)
        for photo in photos:
            assert post(address, photo)[0] == 200
        for _ in range(2):
            assert post(address, b"this is no photo")[0] == 422
        yield address


def held_java(folder: Path) -> Path:
    """Return a JAVA_HOME whose Java begins once the file `go` exists. Until then, no model can be ready."""
    program = folder / "jdk" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nuntil [ -e "{folder}/go" ]; do sleep 0.1; done\nexec "{java()}" "$@"\n')
    program.chmod(0o700)
    return folder / "jdk"


@pytest.fixture(scope="module")
def photos(samples: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((samples / "test").glob("*/*.jpg"))[:16]]


def answers(address: str) -> bool:
    try:
        return "byoc_workers_ready" in get(f"{address}/metrics")
    except OSError:
        return False


def test_a_report_on_a_server_alone_tells_its_requests_errors_and_times_by_part(url: str, tmp_path: Path) -> None:
    ran = byoc("report", "--endpoint", url, cwd=tmp_path)
    assert ran.returncode == 0 and "The endpoint got 18 requests, 11 % of them errors." in ran.stdout, ran.stderr
    page = tmp_path / f"report-{url.partition('://')[2].replace(':', '-')}.html"
    facts = json.loads(page.with_suffix(".json").read_text())
    [section] = facts["sections"]
    found = dict(section["facts"])
    assert found["Invocations"] == "18" and found["Errors 4xx"].startswith("2 (") and found["Errors 5xx"] == "0"
    assert "from the start of the server to its first ready worker" in found["Cold starts"]
    [latencies] = [table for table in section["tables"] if table["title"] == "Latency by part"]
    parts = {row[0]: row[1:] for row in latencies["rows"]}
    assert set(parts) == {"whole request", "queue", "decode", "model"}
    assert all(count >= 16 and 0 <= p50 <= p99 for count, _, p50, _, p99, _ in parts.values())
    assert any("One sample of /metrics" in sentence for sentence in section["missing"])


def test_a_run_and_its_server_are_on_one_page(url: str, trained: Any, tmp_path: Path) -> None:
    ran = byoc("report", trained.base, "--endpoint", url, "--out", tmp_path / "both.html")
    assert ran.returncode == 0, ran.stderr
    facts = json.loads((tmp_path / "both.json").read_text())
    assert [one["id"] for one in facts["sections"]] == ["result", "photos", "learning", "time", "job", "endpoint"]


@needs_chromium
def test_requests_are_seen_in_the_browser_while_they_come(url: str, photos: list[bytes], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [BYOC, "report", "--endpoint", url, "--follow", "--out", tmp_path / "live.html"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().split()[4]
        with chromium() as browser:
            visit = Visit(browser, address, DESKTOP)
            visit.page.wait_for_selector("#endpoint-0-traffic", state="attached")
            before = int(metric(url, "byoc_requests_total"))
            for photo in photos:
                post(url, photo)
            text = f"got {before + len(photos)} requests"
            visit.page.wait_for_function("(text) => document.body.textContent.includes(text)", arg=text)
            assert {"endpoint-0-traffic", "endpoint-0-p99", "endpoint-0-cpu"} <= set(visit.draw_all())
            assert visit.complaints == []
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=120)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0 and f"page: {tmp_path / 'live.html'}" in output
    facts = json.loads((tmp_path / "live.json").read_text())
    titles = {chart["title"] for chart in facts["sections"][0]["charts"]}
    assert titles >= {"Invocations and errors", "Latency by part, p99", "Processor use", "Resident memory"}
