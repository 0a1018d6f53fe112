"""Script mode: the `train` command runs a user's script through the toolkit, with its signals, status and failure text."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from train import script

trainenv = pytest.mark.trainenv
TRAIN = str(Path(sys.executable).parent / "train")


def lay_out(base: Path, program: str, text: str, **hyperparameters: Any) -> Path:
    """Write what a job with a script finds under /opt/ml, the values as the SDK sends them, and return the code's folder."""
    config, code = base / "input" / "config", base.parent / "code"
    for folder in (config, base / "input" / "data" / "training", code):
        folder.mkdir(parents=True)
    (code / program).write_text(text)
    values = {"sagemaker_program": program, "sagemaker_submit_directory": str(code)} | hyperparameters
    (config / "hyperparameters.json").write_text(
        json.dumps({name: json.dumps(value) for name, value in values.items()})
    )
    (config / "inputdataconfig.json").write_text('{"training": {}}')
    (config / "resourceconfig.json").write_text('{"current_host": "localhost", "hosts": ["localhost"]}')
    return code


def start(base: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [TRAIN],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(base: Path, **environment: str) -> tuple[int, str, str]:
    process = start(base, **environment)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def failure(base: Path) -> str:
    return (base / "output" / "failure").read_text()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "opt-ml"


def alive(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_is_wanted_when_a_script_is_named() -> None:
    assert script.wanted({"sagemaker_program": '"train.py"'}) and script.wanted({"sagemaker_program": "train.py"})
    assert not script.wanted({}) and not script.wanted({"sagemaker_program": '""'})
    assert not script.wanted({"sagemaker_program": "null"})


def test_without_the_toolkit_one_sentence_names_the_remedy(base: Path) -> None:
    lay_out(base, "train.py", "print('never')")
    # A finder that knows no toolkit, so that the test says the same where the toolkit is installed.
    hide = "import sys; sys.modules['sagemaker_training'] = None; from train.train import main; sys.exit(main([]))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", hide],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "script mode, which needs the package sagemaker-training; use the training image" in failure(base)


@trainenv
def test_a_script_runs_in_its_folder_with_hyperparameters_as_arguments(base: Path) -> None:
    text = """
import json, os, pathlib, sys
print(json.dumps(sys.argv[1:]), os.getcwd())
import helper
(pathlib.Path(os.environ["SM_MODEL_DIR"]) / "weights").parent.mkdir(exist_ok=True)
(pathlib.Path(os.environ["SM_MODEL_DIR"]) / "weights").write_text(os.environ["SM_CHANNEL_TRAINING"])
"""
    code = lay_out(base, "train.py", text, epochs=3, name="two words; $(touch x)")
    (code / "helper.py").write_text("")
    status, output, errors = run(base)
    assert status == 0, errors
    arguments = json.dumps(["--epochs", "3", "--name", "two words; $(touch x)"])
    assert f"{arguments} {base}/code" in output.splitlines()
    assert (base / "model" / "weights").read_text() == str(base / "input" / "data" / "training")
    assert not (base / "output" / "failure").exists()


@trainenv
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_shell_script_and_a_file_address_run_too(base: Path, prefix: str) -> None:
    code = lay_out(base, "train.sh", '#!/bin/sh\necho "shell $2"\nexit 3\n', lr=0.5)
    config = base / "input" / "config" / "hyperparameters.json"
    values = json.loads(config.read_text()) | {"sagemaker_submit_directory": json.dumps(f"{prefix}{code}")}
    config.write_text(json.dumps(values))
    status, output, _ = run(base)
    assert status == 3 and "shell 0.5" in output and failure(base) == "train.sh ended with status 3"


@trainenv
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ValueError('no photos in the channel')", "ValueError: no photos in the channel"),
        ("class Odd(Exception): pass\nraise Odd('odd\\nmore')", "Odd: odd"),
        ("try:\n  1/0\nexcept ZeroDivisionError as e:\n  raise KeyError('b') from e", "KeyError: 'b'"),
        ("def f(:", "SyntaxError: "),
        ("import sys; print('x' * 5000, file=sys.stderr); raise OSError('y' * 3000)", "OSError: yyyy"),
        ("import sys; sys.exit('stopped: no labels')", "stopped: no labels"),
    ],
)
def test_a_script_that_fails_says_why_in_the_first_line(base: Path, text: str, reason: str) -> None:
    lay_out(base, "train.py", text)
    status, _, errors = run(base)
    assert status == 1 and failure(base).startswith(reason) and len(failure(base)) <= 1024
    assert reason in errors


@trainenv
def test_the_status_of_a_script_is_kept_and_so_is_its_own_failure_text(base: Path) -> None:
    text = "import os, pathlib, sys\np = pathlib.Path(os.environ['SM_OUTPUT_DIR'])\np.mkdir(exist_ok=True)\n"
    lay_out(base, "train.py", text + "(p / 'failure').write_text('mine')\nsys.exit(42)")
    status, _, _ = run(base)
    assert status == 42 and failure(base) == "mine"


@trainenv
def test_a_script_that_is_killed_is_a_failure(base: Path) -> None:
    lay_out(base, "train.py", "import os; os.kill(os.getpid(), 9)")
    status, _, _ = run(base)
    assert status == 137 and failure(base).startswith(
        "train.py ended with status 137 (killed by SIGKILL, as when memory"
    )


@trainenv
def test_sigterm_reaches_the_script_and_nothing_is_left_running(base: Path, tmp_path: Path) -> None:
    text = """
import os, pathlib, signal, subprocess, sys, time
base = pathlib.Path(os.environ["SM_MODEL_DIR"]).parent
# One process that would stay, in a session of its own and holding stderr open; one that must not get the signal.
stays = subprocess.Popen(["sleep", "600"], start_new_session=True)
loader = subprocess.Popen(["sleep", "600"])
def stop(*_):
    (base / "saved").write_text(str(loader.poll()))
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print("pids", os.getpid(), stays.pid, loader.pid)
while True:
    time.sleep(1)
"""
    lay_out(base, "train.py", text)
    process = start(base)
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith("pids "))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143 and (base / "saved").read_text() == "None"
    assert not (base / "output" / "failure").exists()
    assert not [pid for pid in line.split()[1:] if alive(pid)]


@trainenv
def test_sigterm_reaches_what_a_shell_script_runs(base: Path) -> None:
    text = "#!/bin/bash\npython3 -c 'import time; print(\"running\", flush=True); time.sleep(600)'\necho not reached\n"
    lay_out(base, "train.sh", text)
    process = start(base)
    assert process.stdout is not None
    assert next(line for line in process.stdout if line.startswith("running"))
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 143 and "not reached" not in output and time.monotonic() - started < 20


@trainenv
def test_torch_distributed_starts_torchrun_whose_own_traceback_is_not_the_reason(base: Path) -> None:
    text = "import os, sys\nprint('world', os.environ['WORLD_SIZE'])\nraise RuntimeError('of the script')"
    lay_out(base, "train.py", text, sagemaker_torch_distributed_enabled=True)
    status, output, _ = run(base)
    assert status == 1 and "world 1" in output
    assert "RuntimeError: of the script" in failure(base).splitlines()[0]


@trainenv
def test_an_archive_is_unpacked_but_not_outside_its_folder(base: Path, tmp_path: Path) -> None:
    code = lay_out(base, "train.py", "print('from the archive')")
    archive = tmp_path / "sourcedir.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(code / "train.py", "train.py")
    config = base / "input" / "config" / "hyperparameters.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"sagemaker_submit_directory": json.dumps(str(archive))}))
    status, output, errors = run(base)
    assert status == 0 and "from the archive" in output, errors
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(code / "train.py", "../outside.py")
    (base / "code" / "train.py").unlink()
    status, _, _ = run(base)
    assert status == 1 and "cannot be unpacked" in failure(base) and not (base / "outside.py").exists()


@trainenv
def test_code_that_is_not_there_and_requirements_that_cannot_be_had_are_named(base: Path) -> None:
    code = lay_out(base, "train.py", "print('never')")
    (code / "requirements.txt").write_text("--no-index\n--find-links=nowhere\nabsent-package-of-a-test\n")
    status, _, _ = run(base)
    assert status == 1 and failure(base).startswith("pip could not install what train.py needs (`")
    for path in (*code.iterdir(), *(base / "code").iterdir()):
        path.unlink()
    code.rmdir()
    status, _, _ = run(base)
    assert status == 1 and failure(base).startswith(f"sagemaker_submit_directory '{code}' cannot be unpacked")
