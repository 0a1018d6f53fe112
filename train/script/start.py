"""Script mode: when a job or the image names code of the user's, sagemaker-training stages it and it runs in place of ours.

Two processes: `run` waits in the `train` command's own and passes SIGTERM on; below it train.script.toolkit stages the code and
starts it.
"""

import contextlib
import ctypes
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError
from train import environment, stop
from train.json_file import read_object
from train.processes.hosts import wait_for_hosts
from train.script.toolkit import fail, name_of

# What may name the code: hyperparameters, and variables of a derived image's environment.
PROGRAM, SOURCE = "sagemaker_program", "sagemaker_submit_directory"
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
# Our packages are found before a train.py of the user's on PYTHONPATH, and leave no trace on the path.
START = "import sys; sys.path.insert(0, sys.argv.pop()); from train.script.toolkit import main; del sys.path[0]; sys.exit(main())"


def named(base: Path) -> str:
    """Return the script or module of the user's that is to run, "" where none is named.

    Raises ConfigError where something is named that would not run: two scripts, or code without a script.
    """
    given = _read(base, "hyperparameters.json")
    program, source = _text(environment.PROGRAM.read()), _text(environment.SUBMIT_DIRECTORY.read())
    asked, sent = _text(given.get(PROGRAM)), _text(given.get(SOURCE))
    if module := _text(environment.TRAINING_MODULE.read()):
        return module
    if program and asked and program != asked:
        raise ConfigError(
            f"hyperparameter {PROGRAM} names {asked!r}, but the image's variable {PROGRAM.upper()} names {program!r}, which "
            "would run instead; leave one of them out"
        )
    if (source or sent) and not (program or asked):
        raise ConfigError(
            f"{SOURCE if sent else SOURCE.upper()} names code in {sent or source!r}, but nothing says which script of it to "
            f"run; name that in {PROGRAM} (the SDK's entry_point), or leave the code out"
        )
    return program or asked


def run(base: Path, name: str) -> int:
    """Run the user's code and return its exit status, 128 + the number when a signal ended it; on failure
    output/failure says why.

    SIGTERM reaches the script, and whatever it leaves running is killed. Raises ConfigError without sagemaker-training,
    for a host that cannot be found, and where the user's code itself called `train`.
    """
    if above := environment.SCRIPT.read():
        raise ConfigError(
            f"{above} was started by the command train and calls it again, which would run {name} without end; call your own "
            "functions there instead"
        )
    if importlib.util.find_spec("sagemaker_training") is None:
        raise ConfigError(
            f"{name} is named for script mode, which needs the package sagemaker-training; use the training image, or name "
            "no script"
        )
    import psutil  # comes with sagemaker-training

    if len(hosts := _hosts(base)) > 1:  # a single host need not resolve
        wait_for_hosts(hosts)
    # What the script leaves behind becomes a child of this process, also where it is not PID 1.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", START, str(Path(__file__).parents[2])],
        env=environment.for_child({environment.BASE.name: str(base)}, defaults={"PYTHONUNBUFFERED": "1"}),
        start_new_session=True,
    )

    def forward(*_: object) -> None:
        stop.requested.set()
        child.terminate()

    before = signal.signal(signal.SIGTERM, forward)
    try:
        if stop.requested.is_set():
            child.terminate()
        status = child.wait()
    finally:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        signal.signal(signal.SIGTERM, before)
    if status < 0 and not stop.requested.is_set():
        fail(base, f"the process that runs the user's script was killed by {name_of(-status)}")
    return status if status >= 0 else 128 - status


def _hosts(base: Path) -> list[str]:
    try:
        hosts = _read(base, "resourceconfig.json")["hosts"]
        if not isinstance(hosts, list):
            raise TypeError("a text would be taken for a list of letters")
        return list(map(str, hosts))
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f'script mode needs {base}/input/config/resourceconfig.json; write an object with "current_host" and "hosts"'
        ) from error


def _read(base: Path, name: str) -> dict[str, Any]:
    """Return a configuration file's object; empty where it cannot be read, which is then said by whoever needs it."""
    try:
        return read_object(base / "input" / "config" / name)
    except ConfigError:
        return {}


def _text(value: object) -> str:
    """Return a name as it is meant: the SDK quotes it as JSON."""
    text = "" if value is None else str(value).strip('" ')
    return "" if text == "null" else text
