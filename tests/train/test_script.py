"""Script mode: the `train` command runs a user's script through the toolkit, with its signals, status and failure text."""

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import ArchiveError, ConfigError
from launch.opt_ml import write_configuration
from train import script
from train.script import staging, toolkit

trainenv = pytest.mark.trainenv
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # pip reads the second the other way round
TRAIN = str(Path(sys.executable).parent / "train")


def lay_out(base: Path, program: str, text: str, **hyperparameters: Any) -> Path:
    """Write what a job with a script finds under /opt/ml, the values as the SDK sends them, and return the code's folder."""
    config, code = base / "input" / "config", base.parent / "code"
    for folder in (base / "input" / "data" / "training", code):
        folder.mkdir(parents=True)
    (code / program).write_text(text)
    values = {"sagemaker_program": program, "sagemaker_submit_directory": str(code)} | hyperparameters
    write_configuration(
        config,
        ["training"],
        {name: json.dumps(value) for name, value in values.items()},
        channel={},
        resources={"current_host": "localhost", "hosts": ["localhost"]},
    )
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


def sent(base: Path, **hyperparameters: Any) -> None:
    """Set hyperparameters of a job that was laid out, as the SDK sends them; None takes one out."""
    path = base / "input" / "config" / "hyperparameters.json"
    values = json.loads(path.read_text()) | {name: json.dumps(value) for name, value in hyperparameters.items()}
    path.write_text(json.dumps({name: value for name, value in values.items() if value != "null"}))


def archived(archive: Path, *files: Path) -> Path:
    with tarfile.open(archive, "w:gz") as packed:
        for file in files:
            packed.add(file, file.name)
    return archive


@pytest.mark.parametrize(
    ("value", "name"), [('"train.py"', "train.py"), ("train.py", "train.py"), ('""', ""), ("null", ""), (None, "")]
)
def test_a_script_is_named_as_the_sdk_quotes_it_or_bare(base: Path, value: str | None, name: str) -> None:
    (base / "input" / "config").mkdir(parents=True)
    given = {} if value is None else {"sagemaker_program": value}
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(given))
    assert script.named(base) == name


@pytest.mark.parametrize(
    ("given", "environment", "reason"),
    [
        (
            {"sagemaker_program": "a.py"},
            {"SAGEMAKER_PROGRAM": "b.py"},
            "sagemaker_program names 'a.py', but the image's",
        ),
        (
            {"sagemaker_submit_directory": "s3://b/c"},
            {},
            "sagemaker_submit_directory names code in 's3://b/c', but nothing",
        ),
        (
            {},
            {"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/x"},
            "SAGEMAKER_SUBMIT_DIRECTORY names code in '/opt/x', but nothing",
        ),
    ],
)
def test_what_is_named_and_would_not_run_is_refused_by_name(
    base: Path, given: dict[str, str], environment: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "input" / "config").mkdir(parents=True)
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(given))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=re.escape(reason)):
        script.named(base)


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
    reason = "train.py is named for script mode, which needs the package sagemaker-training; use the training image"
    assert failure(base).startswith(reason)


RUN = """
import sys
from pathlib import Path
from classifier.errors import ConfigError
from train import script, stop
base, stopped = sys.argv[1:]
if stopped:
    stop.requested.set()
try:
    print(script.run(Path(base), "train.py"))
except ConfigError as error:
    print(error)
"""


def outer(base: Path, toolkit_text: str, *, stopped: bool = False) -> str:
    """Run the outer process over a package in the toolkit's place, and return what it printed."""
    package = base.parent / "path" / "sagemaker_training"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(toolkit_text)
    path = f"{package.parent}:{Path(script.__file__).parents[2]}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, str(base), "stopped" if stopped else ""],
        env=os.environ | {"PYTHONPATH": path, "BYOC_HOSTS_DEADLINE": "0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_where_the_inner_process_is_killed_that_is_the_reason(base: Path) -> None:
    lay_out(base, "train.py", "print('never')")
    reason = "the process that runs the user's script was killed by SIGKILL, as when memory runs out"
    assert outer(base, "import os; os.kill(os.getpid(), 9)") == f"137\ntraining failed: {reason}\n"
    assert failure(base) == reason


def test_sigterm_before_the_inner_process_is_there_ends_it_too(base: Path) -> None:
    lay_out(base, "train.py", "print('never')")
    assert outer(base, "import time; time.sleep(600)", stopped=True) == "143\n"
    assert not (base / "output").exists()


@pytest.mark.parametrize("alone", [True, False])
def test_of_several_hosts_each_must_be_found_and_a_single_one_need_not(base: Path, alone: bool) -> None:
    lay_out(base, "train.py", "print('never')")
    nowhere = "x" * 64  # no host's name, so that no name server is asked
    hosts = [nowhere] if alone else ["127.0.0.1", nowhere]
    resources = {"current_host": hosts[0], "hosts": hosts}
    (base / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
    printed = outer(base, "import os; os._exit(7)")
    assert printed == "7\n" if alone else printed.startswith(f"no address was found within 0.1 s for {nowhere}; check")


def test_a_failure_text_that_cannot_be_written_is_told_without_a_traceback(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base.mkdir()
    # A file in the folder's place, and a folder in which nobody makes files, root included.
    for place in (lambda path: path.write_text(""), lambda path: path.symlink_to("/proc/self")):
        place(base / "output")
        assert toolkit.fail(base, "ValueError: odd\n\nmore") == 1
        (base / "output").unlink()
        sentence, lost = capsys.readouterr().err.splitlines()
        assert sentence == "training failed: ValueError: odd"
        assert lost.startswith(f"the failure text could not be written to {base}/output/failure (")


GROUP = """
def fails(): raise ValueError("odd photo")
def groups(errors): raise ExceptionGroup("of two files", errors)
try: fails()
except ValueError as error: caught = error
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("groups([OSError('never raised')])", "ExceptionGroup: of two files (1 sub-exception)"),
        ("groups([caught, OSError('never raised')])", "ValueError: odd photo"),
        (
            "try: groups([caught])\nexcept ExceptionGroup as e: raise ExceptionGroup('outer', [e])",
            "ValueError: odd photo",
        ),
        ("try: groups([caught])\nexcept ExceptionGroup as e: raise KeyError('last') from e", "KeyError: 'last'"),
        (
            "import traceback\ntry: fails()\n"
            "except ValueError: sys.exit(''.join('[rank0]: ' + l for l in traceback.format_exc().splitlines(True)))",
            "ValueError: odd photo",
        ),
    ],
)
def test_the_reason_is_an_exception_whatever_frames_its_traceback(text: str, reason: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{GROUP}{text}"], capture_output=True, text=True, check=False
    )
    assert toolkit._reason(done.stderr) == reason


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
    text = "import os, sys\nprint('world', os.environ['WORLD_SIZE'], os.environ['MASTER_ADDR'])\nraise RuntimeError('of the script')"
    lay_out(base, "train.py", text, sagemaker_torch_distributed_enabled=True)
    (base / "input" / "config" / "resourceconfig.json").write_text(
        '{"current_host": "a.invalid", "hosts": ["a.invalid"]}'
    )
    status, output, _ = run(base, BYOC_HOSTS_DEADLINE="1")
    # The container's own host name need not resolve.
    assert status == 1 and "world 1 127.0.0.1" in output
    assert "RuntimeError: of the script" in failure(base).splitlines()[0]


@trainenv
@pytest.mark.parametrize("name", ["sourcedir.tar.gz", "sourcedir"])
def test_an_archive_is_unpacked_but_not_outside_its_folder(base: Path, tmp_path: Path, name: str) -> None:
    code = lay_out(base, "train.py", "import helper; print('from the archive')")
    (code / "helper.py").write_text("")
    channel = base / "input" / "data" / "code"
    channel.mkdir()
    archive = archived(channel / name, code / "train.py", code / "helper.py")
    sent(base, sagemaker_submit_directory=str(archive))
    status, output, errors = run(base)
    assert status == 0 and "from the archive" in output, errors
    for path in (base / "code").iterdir():
        path.unlink()
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(code / "train.py", "../outside.py")
    status, _, _ = run(base)
    assert status == 1 and "cannot be unpacked: '../outside.py' leads out" in failure(base)
    assert not (base / "outside.py").exists()


class Bucket(http.server.BaseHTTPRequestHandler):
    """Amazon S3 as far as a download of one object needs it, on the loopback interface."""

    content = b""

    def do_HEAD(self) -> None:
        found = self.path == "/bucket/job/source/sourcedir.tar.gz"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.send_header("ETag", '"1"')
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def s3() -> Iterator[dict[str, str]]:
    """Return the variables that lead the AWS SDK to a bucket of ours."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield {
        "AWS_ACCESS_KEY_ID": "fake",
        "AWS_SECRET_ACCESS_KEY": "fake",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_S3": url,
    }
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@trainenv
def test_a_container_that_starts_again_fetches_the_code_anew(base: Path) -> None:
    code = lay_out(base, "train.py", "print('first')")
    (code / "gone.py").write_text("")
    assert "first" in run(base)[1]
    (code / "gone.py").unlink()
    (code / "train.py").write_text("import os; print('second', sorted(os.listdir()))")
    status, output, errors = run(base)
    assert status == 0 and "second ['.fetched', 'train.py']" in output, errors


@pytest.mark.slow
@trainenv
def test_code_is_fetched_from_s3_and_an_address_that_leads_nowhere_is_named(
    base: Path, tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = lay_out(base, "train.py", "print('from S3')")
    monkeypatch.setattr(Bucket, "content", archived(tmp_path / "a.tar.gz", code / "train.py").read_bytes())
    sent(base, sagemaker_submit_directory="s3://bucket/job/source/sourcedir.tar.gz")
    status, output, errors = run(base, **s3)
    assert status == 0 and "from S3" in output, errors
    (base / "code" / "train.py").unlink()
    monkeypatch.setattr(Bucket, "content", Bucket.content[:-20])
    assert run(base, **s3)[0] == 1
    assert failure(base).startswith(
        "s3://bucket/job/source/sourcedir.tar.gz cannot be unpacked: it is damaged or cut off"
    )
    sent(base, sagemaker_submit_directory="s3://bucket/absent.tar.gz")
    assert run(base, **s3)[0] == 1
    assert failure(base).startswith(
        "sagemaker_submit_directory 's3://bucket/absent.tar.gz' cannot be fetched (An error"
    )
    assert "Traceback" not in failure(base)


@pytest.mark.slow
@trainenv
def test_code_that_is_not_there_and_a_script_that_is_not_in_it_are_named(base: Path) -> None:
    code = lay_out(base, "train.py", "print('never')")
    sent(base, sagemaker_program="trian.py")
    assert run(base)[0] == 1
    assert failure(base).startswith(f"the script 'trian.py' is not in {base}/code, which holds train.py; correct")
    sent(base, sagemaker_program="train", sagemaker_submit_directory=None)
    assert run(base)[0] == 1
    assert failure(base).endswith("which holds train.py; name train.py")
    for path in (*code.iterdir(), *(base / "code").iterdir()):
        path.unlink()
    code.rmdir()
    sent(base, sagemaker_submit_directory=str(code))
    assert run(base)[0] == 1
    assert failure(base).startswith(
        f"sagemaker_submit_directory '{code}' cannot be unpacked into {base}/code, since it is"
    )


@trainenv
@pytest.mark.parametrize(
    ("requirements", "reason"),
    [
        ("absent-package-of-a-test>=2\n", "the requirement absent-package-of-a-test>=2 (from versions: none)"),
        ("numpy\nnot a requirement\n", "Invalid requirement: 'not a requirement'"),
        ("-r more.txt\n", "Could not open requirements file: [Errno 2] No such file or directory: "),
        ("./broken\n", "metadata-generation-failed"),
    ],
)
def test_a_requirement_that_cannot_be_installed_is_named_with_pips_reason(
    base: Path, requirements: str, reason: str
) -> None:
    code = lay_out(base, "train.py", "print('never')")
    (code / "requirements.txt").write_text(requirements)
    (code / "broken").mkdir()
    (code / "broken" / "setup.py").write_text("raise SystemExit('broken on purpose')")
    status, output, _ = run(base, **OFFLINE)
    assert status == 1 and failure(base).startswith("pip could not install what train.py needs (`pip"), output
    assert reason in failure(base).splitlines()[0] and "never" not in output
    assert "broken" in failure(base) or "broken" not in requirements


@trainenv
def test_a_requirement_that_the_image_holds_fast_is_named_with_the_constraint(base: Path, tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("pytest==7.0.0\n")
    code = lay_out(base, "train.py", "print('never')")
    (code / "more.txt").write_text("pytest==6.2.5\n")
    for requirements in ("pytest==6.2.5\n", "-r more.txt\n"):
        shutil.rmtree(base / "code", ignore_errors=True)
        shutil.rmtree(base / "output", ignore_errors=True)
        (code / "requirements.txt").write_text(requirements)
        status, output, _ = run(base, PIP_CONSTRAINT=str(constraints), **OFFLINE)
        reason = "Cannot install pytest==6.2.5: the image has pytest 7.0.0, which a constraint of its pip keeps; leave pytest out"
        assert status == 1 and reason in failure(base).splitlines()[0], output
        assert "network" not in failure(base)


@trainenv
def test_the_network_is_named_only_where_pip_had_no_connection(base: Path) -> None:
    code = lay_out(base, "train.py", "print('never')")
    (code / "requirements.txt").write_text("absent-package-of-a-test\n")
    for environment, expected in (
        (OFFLINE, False),
        ({"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "1"}, True),
    ):
        shutil.rmtree(base / "code", ignore_errors=True)
        shutil.rmtree(base / "output", ignore_errors=True)
        status, output, _ = run(base, PIP_EXTRA_INDEX_URL="", PIP_CONFIG_FILE=os.devnull, **environment)
        assert status == 1 and "absent-package-of-a-test" in failure(base), output
        assert ("where the job has no network, put the packages into the image" in failure(base)) is expected


@trainenv
@pytest.mark.parametrize("metadata", ["setup.py", "pyproject.toml"])
def test_a_package_is_given_to_pip_and_its_module_runs(base: Path, tmp_path: Path, metadata: str) -> None:
    code = lay_out(base, "README", "")
    (code / "brought").mkdir()
    (code / "brought" / "__init__.py").write_text("")
    (code / "brought" / "fit.py").write_text("import sys; print('module', __name__, sys.argv[1:])")
    setup = "from setuptools import setup; setup(name='brought', version='1', packages=['brought'])"
    (code / metadata).write_text(setup if metadata == "setup.py" else "[project]\nname = 'brought'\nversion = '1'\n")
    sent(base, sagemaker_program="brought.fit", epochs=2)
    status, output, errors = run(base, PIP_TARGET=str(tmp_path / "site"), **OFFLINE)
    assert status == 0, errors
    assert "module __main__ ['--epochs', '2']" in output and (tmp_path / "site" / "brought-1.dist-info").is_dir()


@trainenv
def test_a_linters_settings_do_not_make_a_script_a_package(base: Path) -> None:
    code = lay_out(base, "train.py", "print('as a script')")
    (code / "pyproject.toml").write_text("[tool.ruff]\n")
    status, output, errors = run(base)
    assert status == 0 and "as a script" in output, errors


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
        # Empty when `train` starts; where it is not, the image's entry point keeps the path from the command.
        shutil.rmtree(base / "code", ignore_errors=True)
        status, output, errors = run(base, **environment)
        assert status == 0 and f"mine: {' '.join(names)}" in output, errors


@trainenv
@pytest.mark.parametrize("start", ["train", "{python} -m train"])
def test_a_script_that_calls_train_does_not_start_itself_without_end(base: Path, start: str) -> None:
    command = start.format(python=sys.executable).split()
    text = f"import pathlib, subprocess, sys\nwith open({str(base / 'starts')!r}, 'a') as f: f.write('x')\n"
    text += "assert (pathlib.Path(sys.argv[0]).parent / 'train.py').exists()\n"
    # A loop that this test would not end is ended by the script.
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
        "hyperparameter sagemaker_distributed_dataparallel_enabled is set, but what it asks for"
    )


@trainenv
def test_a_shell_script_written_on_windows_is_told(base: Path) -> None:
    lay_out(base, "train.sh", "#!/bin/sh\r\necho never\r\n")
    status, _, _ = run(base)
    assert status == 1 and failure(base).startswith("train.sh has the line ends of Windows")


def test_only_a_program_that_is_not_executable_is_made_so(tmp_path: Path) -> None:
    for name, before, after in (("a.sh", 0o644, 0o755), ("b.sh", 0o555, 0o555), ("c", 0o700, 0o700)):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(before)
        staging.install(name, tmp_path)
        assert (tmp_path / name).stat().st_mode & 0o777 == after


def test_a_program_that_cannot_be_made_executable_is_named_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"/cmdline is not executable and cannot be made so .*: chmod \+x cmdline$"):
        staging.install("cmdline", Path("/proc/self"))  # no user may change it, root included


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("code.zip", "code.zip is a zip file; send the folder or a .tar.gz of it as sagemaker_submit_directory"),
        ("train.zip", "train.zip is a zip file; send the folder"),
        ("code.tar.gz", "code.tar.gz is an archive inside the folder; name the archive itself, or send the folder"),
        ("my/train.py", "name my/train.py"),
        ("notes.txt", "correct sagemaker_program or the folder that was sent"),
    ],
)
def test_a_folder_that_hides_the_script_is_told_with_the_remedy(tmp_path: Path, name: str, remedy: str) -> None:
    code, file = tmp_path / "code", tmp_path / "code" / name
    file.parent.mkdir(parents=True)
    file.write_text("")
    if name.endswith(".zip"):
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("train.py", "")
    elif name.endswith(".gz"):
        archived(file, Path(__file__))
    with pytest.raises(ConfigError, match=rf"the script 'train\.py' is not in .*; {re.escape(remedy)}"):
        staging.check("train.py", code)


def test_a_zip_file_as_the_code_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    for name in ("code.zip", "sourcedir"):
        with zipfile.ZipFile(tmp_path / name, "w") as packed:
            packed.writestr("train.py", "")
        with pytest.raises(ArchiveError, match=f"{name} cannot be unpacked: it is a zip file, not a tar.gz; make"):
            staging.fetch(str(tmp_path / name), tmp_path / "code")


@trainenv
def test_a_channel_in_pipe_mode_is_the_scripts_own_affair(base: Path) -> None:
    lay_out(base, "train.py", "print('reads the pipe itself')")
    (base / "input" / "config" / "inputdataconfig.json").write_text('{"training": {"TrainingInputMode": "Pipe"}}')
    status, output, errors = run(base)
    assert status == 0 and "reads the pipe itself" in output, errors
