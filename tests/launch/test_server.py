"""The serving program as the driver starts it: what the driver prints if the program ends before it is ready."""

import http.server
import itertools
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from classifier.errors import ConfigError, UserError
from launch.server import _wait_until_ready, check_port, serving
from tests.processes import left

NOWHERE = "http://127.0.0.1:9"


def ended(log: Path, script: str) -> "subprocess.Popen[bytes]":
    with log.open("w") as output:
        process = subprocess.Popen(["sh", "-c", script], stdout=output, stderr=output)
        process.wait()
    return process


def test_a_model_that_cannot_be_served_is_reported_with_the_servers_own_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.json is missing"), serving(tmp_path, 0, tmp_path / "log.txt"):
        pass
    assert "model.json is missing" in (tmp_path / "log.txt").read_text()


def test_the_last_sentence_that_the_server_printed_is_reported(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    process = ended(log, "echo first; echo second; echo the last one; echo; exit 1")
    with pytest.raises(UserError, match=r"^the last one$"):
        _wait_until_ready(process, NOWHERE, log)


def test_a_server_that_ended_without_a_word_is_reported_with_its_status(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    process = ended(log, "kill -KILL $$")
    with pytest.raises(UserError, match=re.escape("the server ended with status -9 and without a message")):
        _wait_until_ready(process, NOWHERE, log)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_just_outside_the_range_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=f"--port is {port}; it must lie between 0 and 65535"):
        check_port(port)


@pytest.mark.parametrize("port", [0, 65535])
def test_the_outermost_ports_are_allowed(port: int) -> None:
    check_port(port)


class Pings(http.server.BaseHTTPRequestHandler):
    """Answers the first two requests with 503, and all others with 200."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200 if len(self.asked) > 2 else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_is_ready_when_ping_says_200(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Pings.asked.clear()
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with http.server.HTTPServer(("127.0.0.1", 0), Pings) as answering, subprocess.Popen(["sleep", "60"]) as process:
        threading.Thread(target=answering.serve_forever).start()
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{answering.server_address[1]}", tmp_path / "log.txt")
        finally:
            process.kill()
            answering.shutdown()
    assert len(Pings.asked) >= 3 and set(Pings.asked) == {"/ping"}  # one that is not answered within 2 s is sent again


def test_a_server_that_is_never_ready_is_reported_with_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each reading of the clock is one second later than the one before.
    clock = itertools.count(1000)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("launch.server.START_SECONDS", 6)
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(UserError, match=r"did not become ready within 6 s; .*log\.txt says more"):
            _wait_until_ready(process, NOWHERE, tmp_path / "log.txt")
        process.kill()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["the server loads the model: 2 s", "the server loads the model: 4 s"]


STUBBORN = """
import http.server, os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
print(os.getpid(), child.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Ready).serve_forever()
"""


def test_a_server_that_does_not_end_when_it_is_asked_to_is_killed_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c \'{STUBBORN}\' "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr("launch.server.STOP_SECONDS", 0.2)
    with serving(tmp_path, 0, tmp_path / "log.txt"):
        pid, child = map(int, (tmp_path / "log.txt").read_text().split()[:2])
        assert Path(f"/proc/{pid}").exists()
        started = psutil.Process(child)
    # The driver also waits for the server's end, so that none of its processes is left.
    assert not Path(f"/proc/{pid}").exists()
    assert left([started]) == []
