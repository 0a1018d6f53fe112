"""The outer process of script mode, in which the user's script runs instead of this program.

It is the process of the command `train`: it starts train.script.toolkit, passes SIGTERM on, and waits. The inner process puts the
code in place as sagemaker-training does, and starts the script.
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

# These hyperparameters name the code; in capital letters they are variables, which an image on top of this one may set.
PROGRAM, SOURCE = "sagemaker_program", "sagemaker_submit_directory"
PR_SET_CHILD_SUBREAPER = 36  # an option of prctl(2)
# The inner process imports our packages even if the user's PYTHONPATH holds a train.py; then it restores the path.
START = "import sys; sys.path.insert(0, sys.argv.pop()); from train.script.toolkit import main; del sys.path[0]; sys.exit(main())"


def named(base: Path) -> str:
    """Return the user's script or function that the job or the image names, or "" if neither names one.

    Raises ConfigError if two different scripts are named, or code without a script.
    """
    given = _read(base, "hyperparameters.json")
    program, source = _text(environment.PROGRAM.read()), _text(environment.SUBMIT_DIRECTORY.read())
    chosen, sent = _text(given.get(PROGRAM)), _text(given.get(SOURCE))
    if module := _text(environment.TRAINING_MODULE.read()):
        return module
    if program and chosen and program != chosen:
        raise ConfigError(
            f"hyperparameter {PROGRAM} names {chosen!r}, but the image's variable {PROGRAM.upper()} names {program!r}, which "
            "would run instead; leave one of them out"
        )
    if (source or sent) and not (program or chosen):
        raise ConfigError(
            f"{SOURCE if sent else SOURCE.upper()} names code in {sent or source!r}, but nothing says which script of it to "
            f"run; name that in {PROGRAM} (the SDK's entry_point), or leave the code out"
        )
    return program or chosen


def run(base: Path, name: str) -> int:
    """Run the user's code and return its exit status, which is 128 + N when signal N ended it.

    SIGTERM is passed on to the script. Processes that the script leaves behind are killed. When the script fails,
    output/failure says why. Raises ConfigError if sagemaker-training is not installed, if a host's address is not found, and
    if the user's code called `train`.
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
    # Processes that the script leaves behind become this process's children, even if this is not process 1.
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
        status = stop.status_of(child)
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
            raise TypeError("a string would be read as a list of letters")
        return list(map(str, hosts))
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f'script mode needs {base}/input/config/resourceconfig.json; write an object with "current_host" and "hosts"'
        ) from error


def _read(base: Path, name: str) -> dict[str, Any]:
    """Return a configuration file's object; empty if it cannot be read. A later step that needs the file reports the error."""
    try:
        return read_object(base / "input" / "config" / name)
    except ConfigError:
        return {}


def _text(value: object) -> str:
    """Return a name without the quotes that the SDK puts around it."""
    text = "" if value is None else str(value).strip('" ')
    return "" if text == "null" else text
