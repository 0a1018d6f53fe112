"""Fixtures that several test files of training share."""

from pathlib import Path

import pytest


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder that replaces /opt/ml."""
    return tmp_path / "opt-ml"
