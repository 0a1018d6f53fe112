"""Commands that run with their own emulator, as a person would write them."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import ROOT

BYOC = Path(sys.executable).parent / "byoc"
SDK = ROOT / ".venv-sdk" / "bin" / "python"
CLIENTS = ROOT / ".venv-clients" / "bin"
needs_clients = pytest.mark.skipif(
    not (CLIENTS / "aws").exists(), reason="needs .venv-clients; make .venv-clients/.ready"
)
PROGRAMS = Path(__file__).parent / "programs"


def run(folder: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with its own emulator."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [BYOC, "emulate", "--data", folder / "data", "--run", "process", *command],
        env={**without, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(textwrap.dedent(text))
    return str(path)
