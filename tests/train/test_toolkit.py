"""Script mode's inner process: how it runs a command, passes SIGTERM on, and reports a failure."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from classifier.errors import ConfigError
from tests.conftest import ROOT
from tests.script_jobs import TO_A_THREAD
from train.environment import SMDEBUG_CONFIG
from train.script import reasons, toolkit

EXECUTE = """
import json, sys
from pathlib import Path
from train import stop
from train.script import toolkit
status, errors = toolkit._execute(sys.argv[2:], Path(sys.argv[1]))
print(json.dumps([status, errors, stop.requested.is_set()]))
"""

# Sends SIGTERM when the command has begun, and before anything else happens.
AT_ONCE = """
import os, signal, subprocess
plain = subprocess.Popen.__init__
def begin(*arguments, **options):
    plain(*arguments, **options)
    os.kill(os.getpid(), signal.SIGTERM)
subprocess.Popen.__init__ = begin
"""


def execute(folder: Path, *command: str, before: str = "") -> "subprocess.Popen[str]":
    """Run a command as a child of the inner process; that prints the status, the end of stderr, and whether a stop was requested."""
    whole = [sys.executable, "-P", "-c", before + EXECUTE, str(folder), *command]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(whole, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def running(process: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def within(seconds: float, done: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return done()


def stopped_with_its_child(folder: Path, *command: str) -> tuple[list[Any], int]:
    """Send SIGTERM once the command has written its child's PID; return the inner process's output and the PID."""
    written = folder / "child"
    with execute(folder, *command) as process:
        assert within(120, lambda: written.exists() and written.read_text().endswith("\n"))
        process.send_signal(signal.SIGTERM)
        ended = json.loads(process.communicate(timeout=120)[0])
    return ended, int(written.read_text())


def test_sigterm_reaches_what_a_shell_has_started_too(tmp_path: Path) -> None:
    ended, child = stopped_with_its_child(tmp_path, "/bin/sh", "-c", "sleep 600 2>&- & echo $! > child; wait")
    assert ended == [128 + signal.SIGTERM, "", True]
    assert within(120, lambda: not running(child))


def test_sigterm_reaches_a_script_and_not_what_it_has_started(tmp_path: Path) -> None:
    script = (
        "import subprocess, time\nchild = subprocess.Popen(['sleep', '600'], stdout=-3, stderr=-3)\n"
        "print(child.pid, file=open('child', 'w'), flush=True)\ntime.sleep(600)"
    )
    ended, child = stopped_with_its_child(tmp_path, sys.executable, "-c", script)
    try:
        assert ended == [128 + signal.SIGTERM, "", True] and running(child)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("before", [AT_ONCE, TO_A_THREAD], ids=["at once", "to another thread"])
def test_sigterm_reaches_a_script_whenever_it_comes_and_whichever_thread_gets_it(tmp_path: Path, before: str) -> None:
    script = "import time\nopen('begun', 'w').close()\ntime.sleep(600)"
    with execute(tmp_path, sys.executable, "-c", script, before=before) as process:
        try:
            output, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert json.loads(output) == [128 + signal.SIGTERM, "", True]


def test_a_command_ends_with_its_status_and_the_last_of_what_it_said(tmp_path: Path) -> None:
    lines = "import sys\nfor number in range(20_000): print(f'line {number:05d}', file=sys.stderr)\nsys.exit(7)"
    output, errors = execute(tmp_path, sys.executable, "-c", lines).communicate(timeout=120)
    status, end, stopped = json.loads(output)
    assert (status, len(end), stopped) == (7, 64 * 1024, False) and end.endswith("line 19998\nline 19999\n")
    assert errors.count("line ") == 20_000
    output, _ = execute(tmp_path, "sh", "-c", "kill -KILL $$").communicate(timeout=120)
    assert json.loads(output) == [128 + signal.SIGKILL, "", False]


# Passes each part of stderr on six seconds late, like a process that was stopped, or whose output is read slowly.
LATE = """
import sys, time
class Late:
    def __init__(self, plain):
        self.plain, self.flush = plain, plain.flush
    def write(self, data):
        time.sleep(6)
        self.plain.write(data)
sys.stderr = type("Stderr", (), {"buffer": Late(sys.stderr.buffer), "flush": sys.stderr.flush})
"""


@pytest.mark.slow
def test_what_a_command_said_at_its_end_is_kept_however_slowly_it_is_passed_on(tmp_path: Path) -> None:
    # It leaves a process behind that keeps stderr open.
    command = "sleep 600 > /dev/null & echo $! > child; echo the reason >&2; exit 3"
    output, errors = execute(tmp_path, "sh", "-c", command, before=LATE).communicate(timeout=120)
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    assert json.loads(output) == [3, "the reason\n", False] and errors == "the reason\n"


@pytest.mark.parametrize(
    ("number", "name"), [(15, "SIGTERM"), (9, "SIGKILL, as when memory runs out"), (99, "signal 99"), (0, "signal 0")]
)
def test_a_signal_is_named_and_what_kills_is_reported_with_its_usual_reason(number: int, name: str) -> None:
    assert toolkit.name_of(number) == name


def test_a_scripts_own_failure_text_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert toolkit.fail(tmp_path, "ours\n\nmore") == 1
    assert (tmp_path / "output" / "failure").read_text() == "ours\n\nmore"
    assert toolkit.fail(tmp_path, "later") == 1
    assert (tmp_path / "output" / "failure").read_text() == "ours\n\nmore"
    assert capsys.readouterr().err == "training failed: ours\ntraining failed: later\n"


TRACE = "Traceback (most recent call last):\n  File x\n\ty\n"


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ("", ""),
        ("first\nlast\n\n \n", "last"),
        (f"{TRACE}\nValueError: odd\nand more\n", "ValueError: odd"),
        (f"{TRACE}KeyError: 1\n{TRACE}ValueError: 2\n", "ValueError: 2"),
        (f"{TRACE}KeyError: 1\n{TRACE}torch.distributed.elastic.ChildFailedError:\n", "KeyError: 1"),
        (f"{TRACE}KeyError: 1\n{TRACE}subprocess.CalledProcessError: Command 'x' returned 1\n", "KeyError: 1"),
        (f"{TRACE}KeyError: 1\n{TRACE}RuntimeError: pair.cc Connection closed by peer [::1]\n", "KeyError: 1"),
        (f"{TRACE}RuntimeError: Connection closed by peer\n{TRACE}KeyError: 1\n", "KeyError: 1"),
        (f"{TRACE}RuntimeError: Connection reset by peer\n", "RuntimeError: Connection reset by peer"),
        (f"{TRACE}subprocess.CalledProcessError: Command 'x' ret\n", "subprocess.CalledProcessError: Command 'x' ret"),
        (f"ERROR: no x\n{TRACE}subprocess.CalledProcessError: pip\n", "no x (subprocess.CalledProcessError: pip)"),
    ],
)
def test_the_reason_is_the_last_exception_or_the_last_line(errors: str, reason: str) -> None:
    assert reasons.reason_in(errors) == reason


def test_how_to_bring_a_package_that_the_script_did_not_find_is_told_and_of_other_reasons_nothing() -> None:
    lacks = "ModuleNotFoundError: No module named 'transformers'"
    told = "; send 'transformers' beside the script, name its package in a requirements.txt there, or build an image"
    assert reasons.remedy("train.py", lacks, ()).startswith(told)
    assert reasons.remedy("train.sh", lacks, ()) == reasons.remedy("package.module:function", lacks, ()) == ""
    for other in (
        "ImportError: cannot import name 'x' from 'torch'",
        "ModuleNotFoundError: No module named 'mine.part'",
    ):
        assert reasons.remedy("train.py", other, ()) == ""


def test_a_script_that_reads_a_channel_that_the_job_lacks_is_told_which_channels_it_has() -> None:
    said = "; SM_CHANNEL_TRAIN is set if the job has a channel named train; it has "
    lacks = "KeyError: 'SM_CHANNEL_TRAIN'"
    assert reasons.remedy("train.py", lacks, ["training", "valid"]) == f"{said}training, valid"
    assert reasons.remedy("train.sh", lacks, []) == f"{said}no channel"


@pytest.mark.parametrize("module", ["package.module", ":function", "package.module:"])
def test_a_function_that_is_not_named_whole_is_refused(module: str) -> None:
    with pytest.raises(ConfigError, match=f"TRAINING_MODULE is '{module}'; write it as package.module:function"):
        toolkit._call(module, Path("/code"))


def test_a_named_function_is_called_from_beside_the_code(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import sys\ndef go(): print(sys.argv[1:], sys.path[0])")
    done = subprocess.run(toolkit._call("mine:go", tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout == f"[] {tmp_path}\n"


def test_smdebug_finds_the_jobs_configuration_or_one_that_keeps_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, scratch, name = tmp_path / "base", tmp_path / "scratch", SMDEBUG_CONFIG.name
    for folder in (base / "input" / "config", scratch):
        folder.mkdir(parents=True)
    monkeypatch.setenv(name, "mine")
    assert toolkit.debugger_settings(base, scratch) == {}
    monkeypatch.delenv(name)
    (made,) = toolkit.debugger_settings(base, scratch).values()
    assert Path(made).parent == scratch and json.loads(Path(made).read_text()) == {"LocalPath": f"{scratch}/tensors"}
    given = base / "input" / "config" / "debughookconfig.json"
    given.write_text("{}")
    assert toolkit.debugger_settings(base, scratch) == {name: str(given)}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that replaces the toolkit; tests write its modules. Also an empty job."""
    package = tmp_path / "path" / "sagemaker_training"
    package.mkdir(parents=True)
    for name in ("__init__.py", "environment.py", "logging_config.py"):
        (package / name).touch()
    (package / "logging_config.py").write_text("def configure_logger(level): pass")
    for name in [name for name in sys.modules if name.partition(".")[0] == "sagemaker_training"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    return package


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "environment.py",
            "raise PermissionError(13, 'Permission denied', '/opt/ml/code')",
            r"script mode needs to write to /opt/ml/code \(Permission denied\); mount a folder there that may be written to$",
        ),
        (
            "environment.py",
            "def Environment(): raise KeyError('current_host')",
            r"script mode needs hyperparameters\.json, .* as the platform writes them \(KeyError: 'current_host'\)$",
        ),
        (
            "environment.py",
            "class Environment:\n @property\n def log_level(self): raise PermissionError(13, 'no', '/nowhere/log')",
            r"user \d+ may not use /nowhere/log \(Permission denied\); give this user the permission[^\n]+$",
        ),
        (
            "environment.py",
            "def Environment(): raise TypeError('odd')",
            "TypeError: odd\n\nTraceback .most recent call last.:",
        ),
        (
            "logging_config.py",
            "raise PermissionError(13, 'Permission denied', '/nowhere')",
            "script mode needs to write",
        ),
    ],
)
def test_a_job_that_the_toolkit_cannot_read_is_one_sentence(
    stand_in: Path, tmp_path: Path, file: str, text: str, message: str
) -> None:
    (stand_in / file).write_text(text)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert toolkit.main() == 1
    finally:
        signal.signal(signal.SIGTERM, before)
        for name in [name for name in sys.modules if name.partition(".")[0] == "sagemaker_training"]:
            del sys.modules[name]
    failure = (tmp_path / "output" / "failure").read_text()
    assert re.match(message, failure), failure


def test_torchrun_is_for_python_scripts_alone(stand_in: Path, tmp_path: Path) -> None:
    (stand_in / "errors.py").write_text("class ClientError(Exception): pass")
    (stand_in / "runner.py").write_text(
        "from types import SimpleNamespace\nfrom sagemaker_training.errors import ClientError\n"
        "RunnerType = SimpleNamespace(TorchDistributed=1)\n"
        "def get(*arguments): raise ClientError('Please use a python script for torch distributed')"
    )
    env = SimpleNamespace(additional_framework_parameters={toolkit.DISTRIBUTED: True}, to_cmd_args=list)
    reason = f"^hyperparameter {toolkit.DISTRIBUTED} is set, but train.sh is not a Python script \\(Please use a python"
    with pytest.raises(ConfigError, match=reason):
        toolkit._command(env, "train.sh", tmp_path, {})
