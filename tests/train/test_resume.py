"""The real program is interrupted in each way that a platform does it, and continues from there."""

import contextlib
import json
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import lay_out, run_to_the_end, training

# Small enough that a step takes milliseconds; its weights are random, which is good enough for these tests.
JOB = {
    "backbone": "timm/test_efficientnet",
    "weights": "random",
    "epochs": "3",
    "batch-size": "4",
    "finetune-epochs": "3",
    "finetune-batch-size": "2",
    "finetune-lr": "0.01",
    "checkpoint-seconds": "0",
    "ema": "0.9",
    "mixup": "0.2",
    "augment": "trivialaugment",
}


MOUNTS = ("unshare", "--map-root-user", "--mount")
needs_mounts = pytest.mark.skipif(
    subprocess.run([*MOUNTS, "true"], capture_output=True).returncode != 0, reason="unshare is not allowed here"
)


def start(base: Path, photos: Path, **changes: str) -> "contextlib.AbstractContextManager[subprocess.Popen[str]]":
    (base / "checkpoints").mkdir(parents=True, exist_ok=True)
    return training(base, photos, **JOB | changes)


def finish(base: Path, photos: Path, **changes: str) -> str:
    """Run the job to its end and return its output."""
    (base / "checkpoints").mkdir(parents=True, exist_ok=True)
    done = run_to_the_end([], lay_out(base, photos, JOB | changes))
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def checkpoints(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "checkpoints").glob("*-*.pt"))


def wait_for_checkpoint(base: Path, process: "subprocess.Popen[str]", name: str) -> None:
    """Wait until the job has written this checkpoint or a later one: it may be gone again before a busy machine looks."""

    def place(checkpoint: str) -> tuple[bool, str]:
        return checkpoint.startswith("finetune-"), checkpoint

    deadline, ended = time.monotonic() + 300, False
    while not any(place(found) >= place(name) for found in checkpoints(base)):
        assert not ended and time.monotonic() < deadline, f"no {name} in {checkpoints(base)}"
        ended = process.poll() is not None  # then look once more, because the last checkpoint may have come in between
        time.sleep(0.005)


def epochs(base: Path) -> list[dict[str, float]]:
    """Return those metrics of all epochs that must not depend on interruptions."""
    lines = (base / "output" / "data" / "records.jsonl").read_text().splitlines()
    records = [record for line in lines if (record := json.loads(line))["kind"] == "epoch"]
    varying = ("time", "step_seconds", "epoch_seconds", "images_per_second", "data_wait_share")
    return [{key: value for key, value in record.items() if key not in varying} for record in records]


def assert_same(base: Path, reference: Path) -> None:
    assert len(epochs(base)) == len(epochs(reference)) == 6
    for ours, expected in zip(epochs(base), epochs(reference), strict=True):
        assert ours.keys() == expected.keys()
        for key, value in expected.items():
            assert ours[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-4, abs=1e-5)), key
    weights = [load_file(folder / "model" / "model.safetensors") for folder in (base, reference)]
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def few(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, each with eight photos in train and four in each other split."""
    folder = tmp_path_factory.mktemp("few")
    for split, count in (("train", 8), ("validation", 4), ("test", 4)):
        for label in ("brick", "coffee"):
            (folder / split / label).mkdir(parents=True)
            for photo in sorted((samples / split / label).iterdir())[:count]:
                shutil.copy(photo, folder / split / label)
    return folder


@pytest.fixture(scope="module")
def reference(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that was not interrupted."""
    base = tmp_path_factory.mktemp("reference") / "opt-ml"
    finish(base, few)
    return base


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.long)])
def test_a_job_that_is_killed_at_random_moments_ends_as_if_it_was_not(
    few: Path, reference: Path, tmp_path: Path, kills: int
) -> None:
    base, moments = tmp_path / "opt-ml", random.Random(kills)
    printed = ""
    for number in range(kills):
        with start(base, few) as process:
            before = checkpoints(base)
            while checkpoints(base) == before and process.poll() is None:
                time.sleep(0.005)
            # The kills are spread over a whole run, so more kills mean shorter delays.
            time.sleep(moments.uniform(0, 1.5 / kills))
            process.kill()
            printed += process.communicate()[0]
            assert process.returncode in (-signal.SIGKILL, 0), number
    printed += finish(base, few)
    assert_same(base, reference)
    objectives = re.findall(r"^epoch=(\d+) .*validation:accuracy=", printed, re.MULTILINE)
    assert objectives and len(objectives) == len(set(objectives))


TERMINATED = """
import os, signal
plain = os.fsync

def fsync(number):
    if "/.MOMENT." in os.readlink(f"/proc/self/fd/{number}"):
        os.kill(os.getpid(), signal.SIGTERM)
    plain(number)

os.fsync = fsync
"""


def terminated(base: Path, photos: Path, moment: str) -> str:
    """Run the job, which gets SIGTERM while it writes this checkpoint, and return its output."""
    # The signal comes from inside the program: a test that watches the file from outside may look too late.
    (base.parent / "sitecustomize.py").write_text(TERMINATED.replace("MOMENT", moment))
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("PYTHONPATH", str(base.parent))
        with start(base, photos) as process:
            output, _ = process.communicate(timeout=300)
    assert process.returncode == 143, output
    return output


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["head-0002-000001", "finetune-0002-000002"])
def test_sigterm_inside_an_epoch_keeps_the_step_and_the_best_model(
    few: Path, reference: Path, tmp_path: Path, moment: str
) -> None:
    base = tmp_path / "opt-ml"
    output = terminated(base, few, moment)
    assert "the best model so far was written" in output and (base / "model" / "model.json").exists()
    assert finish(base, few).count("goes on after step ") == 1
    assert_same(base, reference)


@pytest.mark.slow
def test_sigterm_while_a_checkpoint_is_written_leaves_none_half_written(
    few: Path, reference: Path, tmp_path: Path
) -> None:
    base = tmp_path / "opt-ml"
    terminated(base, few, "finetune-0001-000004")
    assert not list((base / "checkpoints").glob(".*")) and len(checkpoints(base)) <= 4
    assert checkpoints(base)[-1].startswith("finetune-0001-000005.")  # the step after that, which is finished
    assert "damaged" not in finish(base, few)
    assert_same(base, reference)


def test_of_checkpoints_the_newest_two_and_the_best_of_each_stage_stay(reference: Path) -> None:
    kinds = [re.sub(r"\.[0-9a-f]{16}\.pt$", "", name) for name in checkpoints(reference)]
    assert kinds[2:] == ["finetune-0003-000008", "finetune-0004-000000"]
    assert [kind.rsplit("-", 1)[0] for kind in kinds[:2]] in (["best-finetune", "best-head"], ["best-head"])


@pytest.mark.slow
def test_a_checkpoint_cut_in_half_is_named_and_the_one_before_it_used(
    few: Path, reference: Path, tmp_path: Path
) -> None:
    base = tmp_path / "opt-ml"
    with start(base, few) as process:
        wait_for_checkpoint(base, process, "finetune-0002-000003")
        process.kill()
    newest = base / "checkpoints" / [name for name in checkpoints(base) if name.startswith("finetune")][-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    output = finish(base, few)
    assert f"checkpoint {newest} is damaged and left out: its content does not match the digest in its name" in output
    assert "finetune: goes on after step" in output
    assert_same(base, reference)


def change_label(photos: Path) -> None:
    photo = photos / "train" / "brick" / "000.jpg"
    photo.rename(photos / "train" / "coffee" / "moved.jpg")


def add_class(photos: Path) -> None:
    for split in ("train", "validation", "test"):
        shutil.copytree(photos / split / "brick", photos / split / "stone")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (change_label, {}, "is of a job with other train photos or labels"),
        (add_class, {}, "is of a job with 2 classes, this one has 3; they differ in 'stone'"),
        (lambda photos: None, {"finetune-lr": "0.02"}, "is of a job with finetune-lr 0.01, this one has 0.02"),
    ],
)
def test_a_checkpoint_of_another_job_is_refused_by_name(
    few: Path, reference: Path, tmp_path: Path, spoil: Callable[[Path], None], changes: dict[str, str], message: str
) -> None:
    base, photos = tmp_path / "opt-ml", tmp_path / "photos"
    shutil.copytree(few, photos)
    shutil.copytree(reference / "checkpoints", base / "checkpoints")
    kept = checkpoints(base)
    spoil(photos)
    with start(base, photos, **changes) as process:
        process.communicate(timeout=300)
    failure = (base / "output" / "failure").read_text()
    assert process.returncode == 1 and message in failure and f"checkpoint {base}/checkpoints/finetune-" in failure
    assert f"empty {base}/checkpoints to start anew" in failure and checkpoints(base) == kept


@pytest.mark.slow
@needs_mounts
def test_a_full_disk_stops_no_training_and_spoils_no_earlier_checkpoint(
    few: Path, reference: Path, tmp_path: Path
) -> None:
    base, saved = tmp_path / "opt-ml", tmp_path / "saved"
    folder = base / "checkpoints"

    # The head's checkpoint fits, but fine-tuning's five megabytes do not.
    script = (
        f'mount -t tmpfs -o size=1500k none {folder} || exit; status=0; "$@" || status=$?; '
        f"cp -r {folder} {saved}; exit $status"
    )
    prefix = (*MOUNTS, "bash", "-c", script, "full-disk")
    folder.mkdir(parents=True)
    with training(base, few, prefix=prefix, **JOB) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "could not be written (No space left on device): training goes on" in output
    assert_same(base, reference)
    names = [path.name for path in saved.glob("*-*.pt")]
    assert any(name.startswith("best-head-") for name in names) and any(name.startswith("head-") for name in names)
    shutil.copytree(saved, tmp_path / "again" / "checkpoints")
    output = finish(tmp_path / "again", few)
    assert "damaged" not in output
    assert_same(tmp_path / "again", reference)


@pytest.mark.slow
@needs_mounts
def test_input_may_be_read_only_and_shared_memory_nearly_absent(few: Path, tmp_path: Path) -> None:
    base, photos = tmp_path / "opt-ml", tmp_path / "photos"
    shutil.copytree(few, photos)
    # /dev/shm holds 1 MB; two batches would take more than 2 MB.
    script = f'mount --bind -o ro {photos} {photos} && mount -t tmpfs -o size=1m none /dev/shm && exec "$@"'
    (base / "checkpoints").mkdir(parents=True)
    job = JOB | {"finetune-batch-size": "16"}
    with training(base, photos, prefix=(*MOUNTS, "bash", "-c", script, "read-only"), **job) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert len(epochs(base)) == 6


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_names_the_step_and_the_remedy(few: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    with start(
        base, few, **{"finetune-lr": "10", "clip-norm": "0", "optimizer": "sgd", "finetune-epochs": "40"}
    ) as process:
        process.communicate(timeout=300)
    failure = (base / "output" / "failure").read_text()
    assert process.returncode == 1
    assert re.match(r"the loss is no longer a number at step \d of epoch \d+; lower finetune-lr, now 10", failure)


@pytest.mark.slow
def test_a_photo_that_vanishes_between_two_epochs_is_named(few: Path, tmp_path: Path) -> None:
    base, photos = tmp_path / "opt-ml", tmp_path / "photos"
    shutil.copytree(few, photos)
    with start(base, photos, **{"finetune-epochs": "1000"}) as process:
        wait_for_checkpoint(base, process, "finetune-0002")
        (photos / "train" / "brick" / "003.jpg").unlink()
        process.communicate(timeout=300)
    failure = (base / "output" / "failure").read_text()
    assert process.returncode == 1 and "a photo that was readable before is no longer: " in failure
    assert "/train/brick/003.jpg: cannot be read: No such file or directory" in failure
