"""The records of steps and of the machine after a job was killed, or stopped by SIGTERM."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import terminate, training, wait_for_line
from tests.server import until
from train.report.columns import SECONDS

SMALL = {"backbone": "timm/test_efficientnet", "weights": "random"}


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def steps_of(base: Path) -> list[dict[str, Any]]:
    """Return the records of fine-tuning's steps so far."""
    path = base / "output/data/records.jsonl"
    whole = path.read_text().rpartition("\n")[0]  # the last line may be half written
    found = [json.loads(line) for line in whole.splitlines()]
    return [one for one in found if (one["kind"], one.get("stage")) == ("steps", "finetune")]


@pytest.mark.slow
def test_a_killed_job_has_recorded_all_but_its_last_seconds(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    # One long epoch: the end of an epoch would write all waiting records.
    photos = tmp_path / "many"
    for photo in sorted((tiny / "train").rglob("*.jpg")):
        for copy in range(250):
            target = photos / photo.parent.name / f"{copy}-{photo.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(photo)
    settings = SMALL | {"epochs": "1", "finetune-epochs": "1", "finetune-batch-size": "1"}
    with training(base, photos, **settings) as process:
        wait_for_line(process, "fine-tuning, epoch 1 of 1")
        until("rows of the epoch are written twice", lambda: len(steps_of(base)) >= 2)
        killed = time.time()
        process.send_signal(signal.SIGKILL)
        process.wait()
    steps = steps_of(base)
    assert steps and [step for one in steps for step in one["step"]] == list(
        range(1, sum(len(one["step"]) for one in steps) + 1)
    )
    (path,) = (base / "output/data").glob("system-*.jsonl")
    last = records(path)[-1]["times"][-1]
    # Records are written every five seconds; a busy machine takes longer.
    assert killed - last < SECONDS + 60 and steps[1]["time"] - steps[0]["time"] < SECONDS + 60


@pytest.mark.slow
def test_sigterm_writes_what_waits(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    with training(base, tiny, epochs="10000", **SMALL) as process:
        wait_for_line(process, "epoch=5 ")
        output = terminate(process)
        assert process.returncode == 143, output
    found = records(base / "output/data/records.jsonl")
    steps = sum(len(one["step"]) for one in found if one["kind"] == "steps")
    epochs = sum(len(one["step_losses"]) for one in found if one["kind"] == "epoch")
    assert steps >= epochs > 0
    assert records(base / "output/data/system-localhost.jsonl")
