"""A stand-in for AWS and a registry with a password, both on loopback, for the tests of build_and_push.sh."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.ports import free_port

TOOLS = ROOT / ".venv-images" / "bin"
TOKEN = "123456789012-auth-token"  # the password that the stand-in's ECR returns
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def started(command: Sequence[str | Path], port: int, folder: Path, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a server of .venv-images and wait until its port is open."""
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen([*map(str, command)], env=os.environ | environment, stdout=log, stderr=log)
    for _ in range(1200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError((folder / "server.log").read_text())


def serve_registry(folder: Path, password: str) -> "tuple[subprocess.Popen[bytes], str]":
    """Start a registry on loopback that admits only the user AWS."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    hashed = f"import bcrypt; print('AWS:' + bcrypt.hashpw(b'{password}', bcrypt.gensalt(5)).decode())"
    done = subprocess.run([TOOLS / "python", "-c", hashed], capture_output=True, text=True, check=True)
    (folder / "htpasswd").write_text(done.stdout)
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "registry", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is valid YAML
    process = started([TOOLS / "docker-registry", "serve", folder / "config.yml"], port, folder)
    return process, f"127.0.0.1:{port}"


@dataclass
class Place:
    """A clone of the project, and the registry to which it pushes."""

    checkout: Path
    registry: str
    environment: dict[str, str]

    def push(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run build_and_push.sh as a user would; a variable with an empty value is removed."""
        merged = {name: value for name, value in (self.environment | environment).items() if value}
        command = ["./build_and_push.sh", *arguments]
        return subprocess.run(
            command, cwd=self.checkout, env=merged, capture_output=True, text=True, timeout=1800, check=False
        )

    def aws(self, *arguments: str) -> dict[str, object]:
        command = [str(TOOLS / "aws"), "--region", "us-east-1", "--output", "json", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] = json.loads(done.stdout or "{}")
        return answer

    def images(self) -> dict[str, dict[str, object]]:
        written: dict[str, dict[str, object]] = json.loads((self.checkout / "images.json").read_text())
        return written


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line that a failed run wrote to stderr."""
    assert done.returncode == 1, done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]
