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
    """Undo what a job in this process does about SIGTERM. A later job would take a signal that ends the tests for its own."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
