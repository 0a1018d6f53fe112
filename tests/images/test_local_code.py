"""A user's own scripts in the images on this machine: local mode and docker run, and that they leave nothing behind."""

import json
import os
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.local_scripts import MODES, SERVE, TRAIN, Machine, wait_for

pytestmark = pytest.mark.docker
SCRIPT = """
import argparse, os, pathlib
import neighbour
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--data-dir", default=os.environ["SM_CHANNEL_TRAINING"])
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
args = parser.parse_args()
splits = sorted(path.name for path in pathlib.Path(args.data_dir).iterdir())
more = sorted(path.name for path in pathlib.Path(os.environ["SM_CHANNEL_LABELS"]).iterdir())
pathlib.Path(args.model_dir, "brought.txt").write_text(f"{args.epochs} {neighbour.WORD} {splits} {more}")
"""


@MODES
def test_a_script_is_brought_with_its_neighbours_and_channels(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str]
) -> None:
    code, labels, log = tmp_path / "my code", tmp_path / "labels", tmp_path / "log"
    code.mkdir()
    labels.mkdir()
    (labels / "names.csv").write_text("")
    (code / "train_model.py").write_text(SCRIPT)
    (code / "neighbour.py").write_text("WORD = 'found'\n")
    arguments = (
        "--script",
        "train_model.py",
        "--source-dir",
        code,
        "--channel",
        f"labels={labels}",
        "--set",
        "epochs=3",
    )
    out = tmp_path / "out"
    assert machine.run("train_local.sh", *mode, *arguments, "--out", out, tiny, image=TRAIN, log=log) == 0, (
        log.read_text()
    )
    assert (out / "model" / "brought.txt").read_text() == "3 found ['test', 'train', 'validation'] ['names.csv']"
    assert sorted(path.name for path in code.iterdir()) == ["neighbour.py", "train_model.py"]
    assert machine.left() == []


@MODES
def test_a_script_in_a_subfolder_runs_whether_its_path_is_relative_or_absolute(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str]
) -> None:
    code, log = tmp_path / "my code", tmp_path / "log"
    (code / "sub").mkdir(parents=True)
    (code / "sub" / "fit.py").write_text("import os, sys; print('ran', os.getcwd(), *sys.argv)")
    for number, script in enumerate((Path("sub/fit.py"), code / "sub" / "fit.py")):
        arguments = (*mode, "--script", script, "--source-dir", code, "--out", tmp_path / f"out{number}", tiny)
        assert machine.run("train_local.sh", *arguments, image=TRAIN, log=log) == 0, log.read_text()
        assert "ran /opt/ml/code sub/fit.py" in log.read_text()


@MODES
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--set", "epochs"), "train_local: --set 'epochs' must read NAME=VALUE, as in --set epochs=2"),
        (("--set", "=2"), "train_local: --set '=2' must read NAME=VALUE, as in --set epochs=2"),
        (
            ("--script", "fit.py", "--source-dir", "{code}"),
            "{code}/lost is a link to nowhere.py, which does not exist; mend",
        ),
        (
            ("--script", "/bin/sh", "--source-dir", "{code}"),
            "/bin/sh is not in --source-dir {code}; name a file in that",
        ),
        (("--script", "fit.py", "--source-dir", "{code}/fit.py"), "--source-dir {code}/fit.py is not a folder"),
        (("--script", "{code}/fit.p"), "there is no file {code}/fit.p"),
    ],
)
def test_what_cannot_be_brought_is_refused_before_anything_runs(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str], arguments: tuple[str, ...], reason: str
) -> None:
    code, log = tmp_path / "code", tmp_path / "log"
    code.mkdir()
    (code / "fit.py").write_text("print('never')")
    (code / "lost").symlink_to("nowhere.py")
    given = [text.replace("{code}", str(code)) for text in arguments]
    assert machine.run("train_local.sh", *mode, *given, "--out", tmp_path / "out", tiny, image=TRAIN, log=log) == 1
    assert log.read_text().startswith(reason.replace("{code}", str(code))) and log.read_text().count("\n") == 1
    assert not (tmp_path / "out").exists()


@MODES
def test_a_job_that_failed_leaves_its_folder_to_the_next_try(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str]
) -> None:
    script, out, log = tmp_path / "train_model.py", tmp_path / "out", tmp_path / "log"
    script.write_text("raise ValueError('no photos of pugs')")
    arguments: list[str | Path] = [*mode, "--script", script, "--out", out, tiny]
    assert machine.run("train_local.sh", *arguments, image=TRAIN, log=log) == 1
    assert "ValueError: no photos of pugs" in log.read_text() and (out / "output" / "failure").exists()
    script.write_text("import os; open(os.environ['SM_MODEL_DIR'] + '/model.pth', 'w').close()")
    assert machine.run("train_local.sh", *arguments, image=TRAIN, log=log) == 0, log.read_text()
    assert (out / "model" / "model.pth").exists() and not (out / "output" / "failure").exists()
    assert machine.run("train_local.sh", *arguments, image=TRAIN, log=log) == 1
    assert "is not empty; name another folder with --out" in log.read_text()


CODE = """
import json, os
import neighbour

def model_fn(model_dir, context=None):
    return os.path.join(model_dir, "weights.txt")

def input_fn(data, content_type, context=None):
    return len(data)

def predict_fn(data, model, context=None):
    return {"file": open(model).read(), "bytes": data, "neighbour": neighbour.WORD}

def output_fn(prediction, accept, context=None):
    return json.dumps(prediction), "application/json"
"""


@MODES
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_inference_code_is_brought_with_a_model_of_any_kind(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str], packed: bool, port: str
) -> None:
    model, code, log = tmp_path / "model", tmp_path / "code", tmp_path / "log"
    model.mkdir()
    code.mkdir()
    (model / "weights.txt").write_text("weights")
    (code / "inference.py").write_text(CODE)
    (code / "neighbour.py").write_text("WORD = 'found'\n")
    if packed:
        with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
            tar.add(model, ".")
        model = tmp_path / "model.tar.gz"
    arguments = ("--code", "inference.py", "--source-dir", code, "--port", port, model)
    process = machine.start("serve_local.sh", *mode, *arguments, image=SERVE, log=log)
    wait_for("ready: curl", log, process)
    photo = tiny / "test" / "coffee" / "000.jpg"
    environment = os.environ | {"URL": f"http://127.0.0.1:{port}"}
    command = [ROOT / "local_test" / "predict.sh", photo]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True).stdout
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=300) == 0
    expected = {"file": "weights", "bytes": photo.stat().st_size, "neighbour": "found"}
    assert json.loads(answer.removeprefix(str(photo))) == expected
    assert machine.left() == [], log.read_text()[-2000:]


@MODES
def test_code_inside_an_archive_runs_where_it_is_allowed(
    tiny: Path, machine: Machine, tmp_path: Path, mode: list[str], port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, log, code = tmp_path / "model.tar.gz", tmp_path / "log", tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (tmp_path / "model" / "weights.txt").write_text("weights")
    (code / "inference.py").write_text(CODE)
    (code / "neighbour.py").write_text("WORD = 'found'\n")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "model", ".")
    monkeypatch.setenv("ALLOW_MODEL_CODE", "true")
    process = machine.start("serve_local.sh", *mode, "--port", port, archive, image=SERVE, log=log)
    wait_for("ready: curl", log, process)
    photo = tiny / "test" / "coffee" / "000.jpg"
    environment = os.environ | {"URL": f"http://127.0.0.1:{port}"}
    command = [ROOT / "local_test" / "predict.sh", photo]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True).stdout
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=300) == 0
    assert json.loads(answer.removeprefix(str(photo)))["neighbour"] == "found"
    assert machine.left() == [], log.read_text()[-2000:]


@MODES
def test_a_damaged_archive_is_reported_in_one_sentence(
    machine: Machine, tmp_path: Path, mode: list[str], port: str
) -> None:
    archive, log = tmp_path / "model.tar.gz", tmp_path / "log"
    archive.write_bytes(b"\x1f\x8b not an archive")
    assert machine.run("serve_local.sh", *mode, "--port", port, archive, image=SERVE, log=log) == 1
    assert f"{archive} cannot be unpacked: it is damaged or cut off" in log.read_text().splitlines()[-1]
    assert machine.left() == []
