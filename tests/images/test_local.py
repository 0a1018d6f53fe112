"""The images on this machine: local mode and docker run, their answers, and that they leave nothing behind."""

import json
import os
import pwd
import signal
import subprocess
from pathlib import Path

import pytest

from classifier.backends.ir import IR_FILES
from tests.conftest import LITE, ROOT
from tests.local_scripts import MODES, SERVE, TRAIN, Machine, wait_for

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def artifact(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local")
    out = folder / "out"
    arguments = ("--plain", "--out", out, "--set", f"backbone={LITE}", "--set", "epochs=2", samples)
    assert Machine(folder).run("train_local.sh", *arguments, image=TRAIN, log=folder / "log") == 0, (
        folder / "log"
    ).read_text()
    return out / "model"


def test_plain_training_leaves_the_artifact_and_its_files_belong_to_the_user(artifact: Path) -> None:
    always = {"model.json", "model.safetensors", "selftest.safetensors", "guard.safetensors"}
    assert {path.name for path in artifact.iterdir()} - set(IR_FILES) == always
    assert {path.owner() for path in artifact.parent.rglob("*")} == {pwd.getpwuid(os.getuid()).pw_name}


@pytest.mark.parametrize("hosts", ["1", "2"])
def test_local_mode_trains_serves_and_predicts(samples: Path, machine: Machine, tmp_path: Path, hosts: str) -> None:
    environment = os.environ | {"TMPDIR": str(machine.temporary), "HOSTS": hosts}
    command = [str(ROOT / "local_test" / "local_test.sh"), str(samples)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert machine.left() == []


@MODES
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: str(number.name))
def test_stopped_training_leaves_nothing_behind(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str], number: signal.Signals
) -> None:
    log = tmp_path / "log"
    settings = ("--set", f"backbone={LITE}", "--set", "epochs=10000")
    process = machine.start("train_local.sh", *mode, *settings, "--out", tmp_path / "out", tiny, image=TRAIN, log=log)
    wait_for("epoch=1 ", log, process)
    os.killpg(process.pid, number)
    assert process.wait(timeout=300) == 128 + number
    assert machine.left() == [], log.read_text()[-2000:]


@MODES
def test_failed_training_prints_the_failure_text_and_leaves_nothing_behind(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str]
) -> None:
    log = tmp_path / "log"
    arguments = (*mode, "--set", "epohcs=2", "--out", tmp_path / "out", tiny)
    assert machine.run("train_local.sh", *arguments, image=TRAIN, log=log) == 1
    assert "'epohcs' (did you mean 'epochs'?) is unknown" in log.read_text().splitlines()[-1]
    assert machine.left() == []


@MODES
def test_a_stopped_endpoint_leaves_nothing_behind(
    tiny: Path, artifact: Path, machine: Machine, tmp_path: Path, mode: list[str], port: str
) -> None:
    log = tmp_path / "log"
    process = machine.start("serve_local.sh", *mode, "--port", port, artifact, image=SERVE, log=log)
    wait_for("ready: curl", log, process)
    photo = tiny / "test" / "coffee" / "000.jpg"
    environment = os.environ | {"URL": f"http://127.0.0.1:{port}"}
    command = [ROOT / "local_test" / "predict.sh", photo]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True).stdout
    assert answer.startswith(f'{photo} {{"predictions": [')
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=300) == 0
    assert machine.left() == [], log.read_text()[-2000:]


@MODES
def test_a_model_that_cannot_be_served_ends_with_a_sentence_and_leaves_nothing_behind(
    machine: Machine, tmp_path: Path, mode: list[str], port: str
) -> None:
    log, empty = tmp_path / "log", tmp_path / "empty"
    empty.mkdir()
    assert machine.run("serve_local.sh", *mode, "--port", port, empty, image=SERVE, log=log) == 1
    assert "model.json is missing" in log.read_text().splitlines()[-1]
    assert machine.left() == []


def test_tuning_runs_its_trials_in_the_image(tiny: Path, machine: Machine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--trials", "2", "--backbone", LITE, "--out", out, tiny)
    assert machine.run("tune_local.sh", *arguments, image=TRAIN, log=tmp_path / "log") == 0
    trials = json.loads((out / "tuning.json").read_text())
    assert len(trials) == 2 and all(trial["validation_accuracy"] >= 0.5 for trial in trials)
    assert machine.left() == []


def test_stopped_tuning_leaves_no_container(tiny: Path, machine: Machine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = ("--trials", "20", "--backbone", LITE, "--out", tmp_path / "out", tiny)
    process = machine.start("tune_local.sh", *arguments, image=TRAIN, log=log)
    wait_for("trial 1 of 20", log, process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=300) == 130
    assert machine.left() == [], log.read_text()[-2000:]


@MODES
@pytest.mark.parametrize("script", ["train_local.sh", "serve_local.sh"])
def test_an_image_that_is_not_there_is_named_before_anything_runs(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str], script: str
) -> None:
    log = tmp_path / "log"
    assert machine.run(script, *mode, tiny, image="byoc-absent:of-a-test", log=log) == 1
    reason = "there is no image byoc-absent:of-a-test; build it with make build DEVICE=cpu, or name another in IMAGE"
    assert log.read_text().splitlines() == [reason]
    assert machine.left() == []


def test_transform_names_an_image_that_is_not_there_and_makes_no_folder(
    tiny: Path, machine: Machine, tmp_path: Path
) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    assert machine.run("transform_local.sh", "--out", out, tmp_path, tiny, image="byoc-absent:of-a-test", log=log) == 1
    assert log.read_text().startswith("there is no image byoc-absent:of-a-test;") and not out.exists()
