"""The notebook: its outputs belong to its code, and it runs from start to end with the local SageMaker and real training."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.sagemaker.commands import SDK, run

NOTEBOOK = ROOT / "notebooks" / "train_and_deploy.ipynb"
LARGEST, LARGEST_IMAGE = 400_000, 90_000  # bytes


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def text_of(cells: list[dict[str, Any]]) -> str:
    """Return the outputs of cells, without images."""
    found = []
    for output in (output for cell in cells for output in cell["outputs"]):
        data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
        found += ["".join(lines) for lines in [output.get("text", []), *data.values()]]
    return "\n".join(filter(None, found))


def images(cells: list[dict[str, Any]]) -> list[str]:
    outputs = (output for cell in cells for output in cell["outputs"])
    return [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def test_the_outputs_that_are_kept_are_of_the_code_that_is_kept() -> None:
    cells = code_cells(NOTEBOOK)
    now = [hashlib.sha256("".join(cell["source"]).encode()).hexdigest() for cell in cells]
    executed = [cell["metadata"].get("executed") for cell in cells]
    assert executed == now, "cells have changed since they were executed; execute them: make notebook-outputs"
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]


def test_the_outputs_that_are_kept_are_small_and_report_no_error_and_no_machine() -> None:
    cells = code_cells(NOTEBOOK)
    assert "error" not in {output["output_type"] for cell in cells for output in cell["outputs"]}
    text = text_of(cells)
    assert not re.findall(r"(?<![\w:/.])/(?!aws/)\w+/[\w/.-]+|\broot\b|\bTraceback\b", text)
    assert len(images(cells)) == 3 and max(map(len, images(cells))) < LARGEST_IMAGE
    assert NOTEBOOK.stat().st_size < LARGEST


@pytest.mark.slow
def test_the_notebook_runs_from_start_to_end_and_leaves_nothing_that_costs_money(tiny: Path, tmp_path: Path) -> None:
    assert SDK.exists(), f"{SDK} is missing; make it: make .venv-sdk/.ready-notebook"
    out = tmp_path / "executed.ipynb"
    settings = {"BYOC_NOTEBOOK_PHOTOS": str(tiny), "BYOC_NOTEBOOK_TRIALS": "2", "HOME": str(tmp_path)}
    program = [str(SDK), str(ROOT / "notebooks" / "execute.py"), "--out", str(out)]
    done = run(tmp_path, "--hold", "20", "--", *program, **settings)
    assert done.returncode == 0, done.stderr
    cells = code_cells(out)
    text = text_of(cells)
    assert "16 of 16 files were sent to s3://byoc-notebook/byoc/data/tiny/" in text
    assert text.count("Completed") >= 2 and "best: byoc-tune-" in text
    # Plots of loss and accuracy and of the trials' losses, and the photos with the answers.
    assert len(images(cells)) == 3
    assert re.search(r"deleted: endpoints (\('byoc-[\d-]+',\)), configurations \1, models \1\n", text)
    assert text_of(cells[-1:]) == "[]"
