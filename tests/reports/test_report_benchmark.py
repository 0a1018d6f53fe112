"""The benchmark of byoc report runs on a small job and writes each figure. No test checks a time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.reports.browsing import needs_chromium


@pytest.mark.slow
@needs_chromium
def test_the_benchmark_of_reports_writes_its_figures_with_their_targets(tmp_path: Path) -> None:
    # Runs in a copy, so that the committed results are not overwritten.
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("results"))
    command = [sys.executable, "-m", "benchmarks.report", "--steps=1000", "--hosts=2", "--points=240", "--loads=1"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    parts = json.loads((tmp_path / "benchmarks" / "results" / "report.json").read_text())["parts"]
    figures = [figure for part in ("huge", "normal") for figure in parts[part]["figures"]]
    assert [one.get("at_most") for one in figures] == [20, 1, 8, None, None, 3, 1, 0.3, None]
    assert all(one["value"] > 0 for one in figures) and parts["huge"]["machine"]["date"]
