"""Parts that several of the tests of the images use."""

from pathlib import Path

import pytest

from tests.local_scripts import Machine
from tests.ports import free_port


@pytest.fixture
def port() -> str:
    """The number of a free port, for a command line."""
    return str(free_port())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
