"""Script mode: the `train` command runs a user's script through the toolkit, with its signals, status and failure text."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.script_jobs import failure, lay_out, left, run, sent, start

trainenv = pytest.mark.trainenv


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
    process.communicate(timeout=120)
    assert process.returncode == 143 and (base / "saved").read_text() == "None"
    assert not (base / "output" / "failure").exists()
    assert not left(line.split()[1:])


@trainenv
def test_sigterm_reaches_what_a_shell_script_runs(base: Path) -> None:
    text = "#!/bin/bash\npython3 -c 'import time; print(\"running\", flush=True); time.sleep(600)'\necho not reached\n"
    lay_out(base, "train.sh", text)
    process = start(base)
    assert process.stdout is not None
    assert next(line for line in process.stdout if line.startswith("running"))
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143 and "not reached" not in output


@trainenv
def test_torch_distributed_starts_torchrun_whose_own_traceback_is_not_the_reason(base: Path) -> None:
    text = "import os, sys\nprint('world', os.environ['WORLD_SIZE'], os.environ['MASTER_ADDR'])\nraise RuntimeError('of the script')"
    lay_out(base, "train.py", text, sagemaker_torch_distributed_enabled=True)
    (base / "input" / "config" / "resourceconfig.json").write_text(
        '{"current_host": "a.invalid", "hosts": ["a.invalid"]}'
    )
    status, output, _ = run(base, BYOC_HOSTS_DEADLINE="1")
    # It is not necessary that the container's own host name resolves.
    assert status == 1 and "world 1 127.0.0.1" in output
    assert "RuntimeError: of the script" in failure(base).splitlines()[0]


@pytest.mark.slow
@trainenv
def test_a_derived_image_names_its_script_in_the_environment(base: Path) -> None:
    lay_out(base, "unused.py", "print('never')", epochs=3)
    sent(base, sagemaker_program=None, sagemaker_submit_directory=None)
    (base / "code").mkdir()
    (base / "code" / "mine.py").write_text("import sys; print('of the image', sys.argv[1:])")
    status, output, errors = run(base, SAGEMAKER_PROGRAM="mine.py")
    assert status == 0 and "of the image ['--epochs', '3']" in output, errors
    (base / "elsewhere").mkdir()
    (base / "elsewhere" / "mine.py").write_text("print('never')")
    status, output, _ = run(base, SAGEMAKER_PROGRAM="mine.py", SAGEMAKER_SUBMIT_DIRECTORY=str(base / "elsewhere"))
    assert status == 1 and "already holds mine.py, which would run in its place" in failure(base)
    (base / "code" / "mine.py").unlink()
    status, output, _ = run(base, SAGEMAKER_PROGRAM="mine.py", SAGEMAKER_SUBMIT_DIRECTORY=str(base / "elsewhere"))
    assert status == 0 and "never" in output
    status, _, _ = run(base, SAGEMAKER_PROGRAM="absent.py")
    assert status == 1 and failure(base).startswith("the script 'absent.py' is not in ")


@pytest.mark.slow
@trainenv
def test_a_derived_image_names_a_function_in_the_environment(base: Path) -> None:
    lay_out(base, "unused.py", "")
    sent(base, sagemaker_program=None, sagemaker_submit_directory=None)
    (base / "code" / "own").mkdir(parents=True)
    (base / "code" / "own" / "__init__.py").write_text("")
    text = (
        "import os, sys\ndef main():\n  print('called', sys.argv[1:], os.environ['SM_CHANNEL_TRAINING'])\n  return {}\n"
    )
    (base / "code" / "own" / "fit.py").write_text(text + "def fails():\n  raise ValueError('odd photos')\n")
    status, output, errors = run(base, SAGEMAKER_TRAINING_MODULE="own.fit:main")
    assert status == 0 and f"called [] {base}/input/data/training" in output, errors
    status, _, _ = run(base, SAGEMAKER_TRAINING_MODULE="own.fit:fails")
    assert status == 1 and failure(base).startswith("ValueError: odd photos\n\nown.fit:fails ended with status 1")
    for wrong, reason in (
        ("own.fit", "SAGEMAKER_TRAINING_MODULE is 'own.fit'"),
        ("absent:f", "No module named 'absent'"),
    ):
        status, _, _ = run(base, SAGEMAKER_TRAINING_MODULE=wrong)
        assert status == 1 and reason in failure(base).splitlines()[0] and wrong in failure(base)


@pytest.mark.slow
@trainenv
@pytest.mark.parametrize("distributed", [False, True])
def test_a_script_finds_its_neighbours_whatever_they_are_called(base: Path, distributed: bool) -> None:
    names = ("classifier", "serve", "helper", "launch", "logging_config", "pip", "environment")
    text = f"import {', '.join(names)}\nprint('mine:', {', '.join(f'{name}.MINE' for name in names)})"
    code = lay_out(base, "train.py", text, sagemaker_torch_distributed_enabled=distributed)
    for name in names:
        (code / f"{name}.py").write_text(f"MINE = '{name}'")
    for environment in ({}, {"PYTHONPATH": f"{base}/code:{os.environ.get('PYTHONPATH', '')}"}):
        # base/code is empty when `train` starts. If it held code, the image's entry point would hide this path from `train`.
        shutil.rmtree(base / "code", ignore_errors=True)
        status, output, errors = run(base, **environment)
        assert status == 0 and f"mine: {' '.join(names)}" in output, errors


@trainenv
@pytest.mark.parametrize("start", ["train", "{python} -m train"])
def test_a_script_that_calls_train_does_not_start_itself_without_end(base: Path, start: str) -> None:
    command = start.format(python=sys.executable).split()
    text = f"import pathlib, subprocess, sys\nwith open({str(base / 'starts')!r}, 'a') as f: f.write('x')\n"
    text += "assert (pathlib.Path(sys.argv[0]).parent / 'train.py').exists()\n"
    # The script stops after four starts if the program does not stop it.
    text += (
        f"if len(open({str(base / 'starts')!r}).read()) < 4: sys.exit(subprocess.run({command!r}, cwd='/').returncode)"
    )
    lay_out(base, "train.py", text)
    status, _, errors = run(base, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert (status, (base / "starts").read_text()) == (1, "x"), errors
    reason = "train.py was started by the command train and calls it again, which would run train.py without end"
    assert failure(base).startswith(reason)


@trainenv
def test_what_this_image_has_not_is_refused_by_name(base: Path) -> None:
    lay_out(base, "train.py", "print('never')", sagemaker_distributed_dataparallel_enabled=True)
    status, output, _ = run(base)
    assert status == 1 and "never" not in output
    assert failure(base).startswith(
        "hyperparameter sagemaker_distributed_dataparallel_enabled is set, but this image does not have its library"
    )


@trainenv
def test_a_shell_script_written_on_windows_is_reported(base: Path) -> None:
    lay_out(base, "train.sh", "#!/bin/sh\r\necho never\r\n")
    status, _, _ = run(base)
    assert status == 1 and failure(base).startswith("train.sh has the line ends of Windows")


@trainenv
def test_a_channel_in_pipe_mode_is_the_scripts_own_affair(base: Path) -> None:
    lay_out(base, "train.py", "print('reads the pipe itself')")
    (base / "input" / "config" / "inputdataconfig.json").write_text('{"training": {"TrainingInputMode": "Pipe"}}')
    status, output, errors = run(base)
    assert status == 0 and "reads the pipe itself" in output, errors
