"""Trying the images on this machine: local mode and docker run, their answers, and that nothing is left behind."""

import json
import os
import pwd
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.conftest import LITE, ROOT

pytestmark = pytest.mark.docker

TRAIN = os.environ.get("TRAIN_IMAGE", "byoc-classifier-train:cpu")
SERVE = os.environ.get("SERVE_IMAGE", "byoc-classifier-serve:cpu")
MODES = pytest.mark.parametrize("mode", [[], ["--plain"]], ids=["local-mode", "plain"])


class Machine:
    """Runs a script of local_test with a folder for temporary files of its own, and says what it leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.temporary = folder, folder / "temporary"
        self.temporary.mkdir()

    def start(self, script: str, *arguments: str | Path, image: str, log: Path) -> "subprocess.Popen[str]":
        # In a session of its own, so that a signal reaches it as Ctrl-C does: with all that it started.
        with log.open("w") as output:
            return subprocess.Popen(
                [ROOT / "local_test" / script, *map(str, arguments)],
                env=os.environ | {"TMPDIR": str(self.temporary), "IMAGE": image},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def run(self, script: str, *arguments: str | Path, image: str, log: Path) -> int:
        return self.start(script, *arguments, image=image, log=log).wait(timeout=300)

    def left(self) -> list[str]:
        """Containers that mount something of ours, a network that no container uses, and temporary files."""
        everything = docker("ps", "--all", "--quiet", check=True).split()
        mounts = "{{.Name}} {{.State.Status}}{{range .Mounts}} {{.Source}}{{end}}"
        containers = docker("inspect", "--format", mounts, *everything).splitlines() if everything else []
        networks = docker(
            "network", "inspect", "--format", "{{.Name}} {{len .Containers}}", "sagemaker-local"
        ).splitlines()
        found = [line for line in containers if f" {self.folder}/" in line]
        found += [line for line in networks if line == "sagemaker-local 0"]
        return found + [path.name for path in self.temporary.iterdir()]


def docker(*arguments: str, check: bool = False) -> str:
    # Others may remove what was just listed.
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check).stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def wait_for(text: str, log: Path, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 120
    while text not in log.read_text():
        assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(0.2)


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
    assert sorted(path.name for path in artifact.iterdir()) == [
        "model.json",
        "model.safetensors",
        "selftest.safetensors",
    ]
    assert {path.owner() for path in artifact.parent.rglob("*")} == {pwd.getpwuid(os.getuid()).pw_name}


@pytest.mark.parametrize("hosts", ["1", "2"])
def test_local_mode_trains_serves_and_predicts(samples: Path, machine: Machine, tmp_path: Path, hosts: str) -> None:
    environment = os.environ | {"TMPDIR": str(machine.temporary), "HOSTS": hosts}
    command = [str(ROOT / "local_test" / "local_test.sh"), str(samples)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
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
    assert process.wait(timeout=60) == 128 + number
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
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=70, check=True).stdout
    assert answer.startswith(f'{photo} {{"predictions": [')
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 0
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
    assert process.wait(timeout=60) == 130
    assert machine.left() == [], log.read_text()[-2000:]


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
            "{code}/lost is a link to nowhere.py, which is not there; mend",
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
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=70, check=True).stdout
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 0
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
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=70, check=True).stdout
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert json.loads(answer.removeprefix(str(photo)))["neighbour"] == "found"
    assert machine.left() == [], log.read_text()[-2000:]


@MODES
def test_a_damaged_archive_is_told_in_one_sentence(
    machine: Machine, tmp_path: Path, mode: list[str], port: str
) -> None:
    archive, log = tmp_path / "model.tar.gz", tmp_path / "log"
    archive.write_bytes(b"\x1f\x8b not an archive")
    assert machine.run("serve_local.sh", *mode, "--port", port, archive, image=SERVE, log=log) == 1
    assert f"{archive} cannot be unpacked: it is damaged or cut off" in log.read_text().splitlines()[-1]
    assert machine.left() == []


def test_an_image_without_the_programs_fails_the_contract(samples: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "local_test/contract/test_train.py"]
    # The serving image has no `train`.
    command += [
        "--image",
        SERVE,
        "--data",
        str(samples),
        "--results",
        str(results),
        "-k",
        "argument_train or says_why",
    ]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False).returncode == 1
    rows = json.loads(results.read_text())
    assert rows and {row["result"] for row in rows} == {"FAIL"}
