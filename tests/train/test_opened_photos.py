"""The program opens each photo once, in the listed order, and then reopens a few, for the guard and for the report."""

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_training

AUDIT = """
import os, sys
log = os.open(os.environ["OPEN_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def hook(event, arguments, below=os.environ["OPEN_BELOW"]):
    if event == "open" and str(arguments[0]).startswith(below) and str(arguments[0]).endswith(".jpg"):
        os.write(log, (str(arguments[0]) + "\\n").encode())
sys.addaudithook(hook)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one lane
"""


FINETUNE = {"finetune-epochs": "2", "backbone": "timm/test_efficientnet", "weights": "random"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "mode"),
    [({}, "File"), ({"views": "2"}, "File"), (FINETUNE, "FastFile")],
    ids=["plain", "views", "tuned"],
)
def test_the_program_opens_each_photo_once_in_the_listed_order_and_those_of_the_guard_and_the_report_again(
    tiny: Path, tmp_path: Path, options: dict[str, str], mode: str
) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "sitecustomize.py").write_text(AUDIT)
    base, log = tmp_path / "opt-ml", tmp_path / "log.txt"
    environment = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "audit"), str(ROOT)]),
        "OPEN_LOG": str(log),
        "OPEN_BELOW": str(base / "input" / "data"),
    }
    done = run_training(base, {"training": tiny}, {"precision": "fp32"} | options, environment=environment, mode=mode)
    assert done.status == 0, done.errors
    folder = base / "input" / "data" / "training"
    listed = [
        str(path)
        for split in ("train", "validation", "test")
        for label in ("brick", "coffee")
        for path in sorted((folder / split / label).iterdir())
    ]
    opened = log.read_text().splitlines()
    shown = opened[len(listed) :]
    assert opened[: len(listed)] == listed
    validation = [path for path in listed if "/validation/" in path]
    assert set(shown) <= set(listed)
    assert all(shown.count(path) <= 1 + (path in validation) for path in shown)
    # Fine-tuning from a slow mount keeps the photos' bytes, so each photo is opened only once.
    assert bool(shown) == (mode == "File")
