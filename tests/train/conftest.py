"""Fixtures that several test files of training share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder that replaces /opt/ml."""
    return tmp_path / "opt-ml"


@pytest.fixture(autouse=True)
def sigterm_ends_the_tests() -> Iterator[None]:
    """Put back the handler of SIGTERM after a test that ran a job in this process. The job's handler would only set a flag, so that
    SIGTERM would not end the tests.
    """
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
