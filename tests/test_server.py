"""The serving program as the driver starts it: what is told when it ends before it is ready."""

import re
import subprocess
from pathlib import Path

import pytest

from classifier.errors import ConfigError, UserError
from launch.server import _wait_until_ready, check_port, serving

NOWHERE = "http://127.0.0.1:9"


def ended(log: Path, script: str) -> "subprocess.Popen[bytes]":
    with log.open("w") as output:
        process = subprocess.Popen(["sh", "-c", script], stdout=output, stderr=output)
        process.wait()
    return process


def test_a_model_that_cannot_be_served_is_told_with_the_servers_own_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.json is missing"), serving(tmp_path, 0, tmp_path / "log.txt"):
        pass
    assert "model.json is missing" in (tmp_path / "log.txt").read_text()


def test_of_what_the_server_said_the_last_sentence_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    process = ended(log, "echo first; echo second; echo the last one; echo; exit 1")
    with pytest.raises(UserError, match=r"^the last one$"):
        _wait_until_ready(process, NOWHERE, log)


def test_a_server_that_ended_without_a_word_is_told_with_its_status(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    process = ended(log, "kill -KILL $$")
    with pytest.raises(UserError, match=re.escape("the server ended with status -9 and said nothing")):
        _wait_until_ready(process, NOWHERE, log)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_just_outside_the_range_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=f"--port is {port}; it must lie between 0 and 65535"):
        check_port(port)


@pytest.mark.parametrize("port", [0, 65535])
def test_the_outermost_ports_are_allowed(port: int) -> None:
    check_port(port)
