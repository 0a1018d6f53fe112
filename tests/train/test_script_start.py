"""Script mode before a script runs: how the script is named, refusals, and the end of the outer process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.errors import ConfigError
from tests.script_jobs import TO_A_THREAD, failure, lay_out
from train import script
from train.script import reasons, toolkit


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
    # Makes the toolkit's import fail, so that the result is the same if the toolkit is installed.
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


def outer(base: Path, toolkit_text: str, *, stopped: bool = False, before: str = "") -> str:
    """Run the outer process with a package that replaces the toolkit, and return its output."""
    package = base.parent / "path" / "sagemaker_training"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(toolkit_text)
    path = f"{package.parent}:{Path(script.__file__).parents[2]}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", before + RUN, str(base), "stopped" if stopped else ""],
        env=os.environ | {"PYTHONPATH": path, "BYOC_HOSTS_DEADLINE": "0.1"},
        capture_output=True,
        text=True,
        timeout=300,
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


def test_sigterm_that_another_thread_gets_ends_the_inner_process_too(base: Path) -> None:
    lay_out(base, "train.py", "print('never')")
    begins = f"import time; open({str(base / 'begun')!r}, 'w').close(); time.sleep(600)"
    assert outer(base, begins, before=TO_A_THREAD) == "143\n"
    assert not (base / "output").exists()


def test_sigterm_that_a_thread_of_the_inner_process_gets_ends_it_while_the_code_is_put_in_place(base: Path) -> None:
    lay_out(base, "train.py", "print('never')")
    send = "(time.sleep(1), signal.pthread_kill(threading.get_ident(), signal.SIGTERM))"  # while the main thread sleeps
    fetches = f"import signal, threading, time; threading.Thread(target=lambda: {send}).start(); time.sleep(600)"
    assert outer(base, fetches).startswith("143\n")


@pytest.mark.parametrize("alone", [True, False])
def test_of_several_hosts_each_must_be_found_and_a_single_one_need_not(base: Path, alone: bool) -> None:
    lay_out(base, "train.py", "print('never')")
    # Too long for a host's name, so no name server is asked.
    hosts = ["x" * 64] if alone else ["x" * 64, "y" * 64]
    resources = {"current_host": hosts[0], "hosts": hosts}
    (base / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
    printed = outer(base, "import os; os._exit(7)")
    assert (
        printed == "7\n"
        if alone
        else printed.startswith(f"no address was found within 0.1 s for {', '.join(hosts)}; check")
    )


def test_a_failure_text_that_cannot_be_written_is_reported_without_a_traceback(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base.mkdir()
    # In place of the folder: a file, or a folder in which even root cannot make files.
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
    assert reasons.reason_in(done.stderr) == reason
