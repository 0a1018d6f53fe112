"""Parts that several of the tests of the images use."""

import pytest

from tests.ports import free_port


@pytest.fixture
def port() -> str:
    """The number of a free port, for a command line."""
    return str(free_port())
