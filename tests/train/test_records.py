"""The job's records: each is in the file as soon as it is written, and is valid JSON."""

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from train.report.records import RECORDS_VERSION, Records

KILLED = """
import os, signal, sys
from pathlib import Path
from train.report.records import Records
records = Records(Path(sys.argv[1]))
for number, steps in enumerate((1, 4000, 1)):
    records.write("epoch", number=number, step_losses=[0.5] * steps)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_job_leaves_every_record_that_it_wrote_as_a_whole_line(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", KILLED, tmp_path])
    assert done.returncode == -signal.SIGKILL
    text = (tmp_path / "records.jsonl").read_text()
    assert text.endswith("\n") and [json.loads(line)["number"] for line in text.splitlines()] == [0, 1, 2]


def test_a_record_says_its_kind_its_version_and_when_it_was_written(tmp_path: Path) -> None:
    before = time.time()
    records = Records(tmp_path / "a" / "new" / "folder")
    records.write("result", split="test", accuracy=0.25)
    records.close()
    record = json.loads((tmp_path / "a/new/folder/records.jsonl").read_text())
    assert before - 0.001 <= record.pop("time") <= time.time() + 0.001
    assert record == {"kind": "result", "version": RECORDS_VERSION, "split": "test", "accuracy": 0.25}


def test_numbers_that_json_does_not_have_become_null_however_deep_they_lie(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write("epoch", loss=math.nan, deep={"a": [1.5, math.inf, (-math.inf, "x")], "b": None, "c": True})
    records.close()
    record = json.loads((tmp_path / "records.jsonl").read_text(), parse_constant=lambda text: f"not JSON: {text}")
    assert record["loss"] is None and record["deep"] == {"a": [1.5, None, [None, "x"]], "b": None, "c": True}


def test_a_second_job_in_the_same_folder_begins_its_records_again(tmp_path: Path) -> None:
    for kind in ("job", "done"):
        records = Records(tmp_path)
        records.write(kind)
        records.close()
    assert [json.loads(line)["kind"] for line in (tmp_path / "records.jsonl").read_text().splitlines()] == ["done"]


def test_a_process_that_is_not_the_chief_writes_no_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    records = Records(None)
    records.write("job", processes=2)
    records.close()
    assert not list(tmp_path.iterdir())
