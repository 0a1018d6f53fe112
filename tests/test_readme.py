"""The README is executed: every bash block runs, every target it names exists, its table is the program's."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from train.config import help_table

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with folders for results of its own, so that what a user made is left alone."""
    folder = tmp_path_factory.mktemp("checkout")
    for entry in ROOT.iterdir():
        if entry.name not in ("runs", "data"):
            (folder / entry.name).symlink_to(entry)
    return folder


def test_every_bash_block_runs(checkout: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 2
    output = ""
    for block in blocks:
        script = f"set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{block}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=checkout, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode in (0, 143), (block, done.stderr)
        output += done.stdout
    assert "test accuracy" in output and "training can start" in output
    assert output.count('"label": "coffee"') == 1 and "000.jpg: coffee " in output


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"`make ([a-z-]+)", README)) | set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets and targets <= known


def test_its_hyperparameters_are_the_programs() -> None:
    assert help_table() in README


def test_plain_make_prints_help() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "demo" in done.stdout and "the main job" in done.stdout
