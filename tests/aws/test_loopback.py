"""The guard of the tests of the driver: it refuses every connection to another machine."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"  # an address that belongs to nobody: RFC 5737
CONNECT = f"import socket; socket.create_connection(('{ELSEWHERE}', 80), 1)"
RESOLVE = "import socket; socket.getaddrinfo('sagemaker.us-east-1.amazonaws.com', 443)"


@pytest.fixture
def reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BYOC_TEST_REACHED", str(tmp_path / "reached"))
    return tmp_path / "reached"


def test_a_test_cannot_connect_to_another_machine(reached: Path) -> None:
    with pytest.raises(PermissionError, match="may not leave this machine"):
        socket.create_connection((ELSEWHERE, 80), 1)
    assert ELSEWHERE in reached.read_text()


@pytest.mark.parametrize("code", [CONNECT, RESOLVE])
def test_a_python_that_a_test_starts_cannot_either(code: str, reached: Path) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "may not leave this machine" in done.stderr
    assert reached.exists()


def test_this_machine_can_be_reached() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        socket.create_connection(listener.getsockname(), 1).close()
