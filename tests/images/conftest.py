"""Parts that several of the tests of the images use."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.local_scripts import Machine
from tests.ports import free_port
from tests.registry import PROXIES, TOKEN, TOOLS, Place, serve_registry, started


@pytest.fixture
def port() -> str:
    """The number of a free port, for a command line."""
    return str(free_port())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Runs the scripts of local_test in a folder for the test."""
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A clone of the project, with a running stand-in for AWS and a running registry."""
    folder = tmp_path_factory.mktemp("push")
    checkout = folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    for wheel in (ROOT / "wheels").glob("*.whl"):
        shutil.copy(wheel, checkout / "wheels")
    port = free_port()
    aws = started([TOOLS / "moto_server", "-H", "127.0.0.1", "-p", str(port)], port, folder)
    registry, host = serve_registry(folder / "registry", TOKEN)
    environment = {name: value for name, value in os.environ.items() if name not in PROXIES and "AWS" not in name}
    environment |= {
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
        "HOME": str(folder),
        "DOCKER_CONFIG": str(folder / "docker"),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "ECR_REGISTRY": host,
    }
    try:
        yield Place(checkout, host, environment)
    finally:
        for process in (aws, registry):
            process.kill()
            process.wait()
