"""The benchmarks run and write what the README quotes; nothing here looks at a time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def bench(name: str, tmp_path: Path, *arguments: str | Path) -> "tuple[str, Path]":
    # Run from a copy, so that the committed results stay what was measured.
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    shutil.rmtree(tmp_path / "benchmarks" / "results", ignore_errors=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, tmp_path / "benchmarks" / "results" / f"{name}.json"


@pytest.mark.parametrize(
    ("name", "options"), [("features", ("--photos", "96")), ("decode", ("--photos", "3", "--timed", "2"))]
)
def test_a_benchmark_writes_its_numbers_with_machine_and_date(
    samples: Path, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    _, results = bench(name, tmp_path, samples / "train", *options)
    numbers = json.loads(results.read_text())
    assert numbers["machine"]["cores"] >= 1 and numbers["machine"]["date"]


@pytest.mark.parametrize("name", ["features", "decode"])
def test_a_benchmark_whose_photos_are_absent_says_that_it_was_not_run(tmp_path: Path, name: str) -> None:
    text, results = bench(name, tmp_path, tmp_path / "absent")
    assert "not run" in text and not results.exists()
