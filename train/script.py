"""Script mode: when a job names a script of the user's, sagemaker-training stages it and it runs in place of ours.

Two processes: `run` waits in the `train` command's own and passes SIGTERM on; below it `python -m train.toolkit` stages the
script and starts it.
"""

import contextlib
import ctypes
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from classifier.errors import ConfigError
from train import stop
from train.hosts import wait_for_hosts
from train.toolkit import fail, name_of

PROGRAM = "sagemaker_program"
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)


def wanted(hyperparameters: Mapping[str, str]) -> bool:
    """Return whether the job names a script to run."""
    return str(hyperparameters.get(PROGRAM, "")).strip('" ') not in ("", "null")


def run(base: Path) -> int:
    """Run the user's script and return its exit status, 128 + the number when a signal ended it; on failure
    output/failure says why.

    SIGTERM reaches the script, and whatever it leaves running is killed. Raises ConfigError without sagemaker-training
    and for a host that cannot be found.
    """
    if importlib.util.find_spec("sagemaker_training") is None:
        raise ConfigError(
            f"hyperparameter {PROGRAM} asks for script mode, which needs the package sagemaker-training; use the training "
            "image, or leave the hyperparameter out"
        )
    import psutil  # comes with sagemaker-training

    wait_for_hosts(_hosts(base))
    (base / "output" / "failure").unlink(missing_ok=True)
    # What the script leaves behind becomes a child of this process, also where it is not PID 1.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "train.toolkit"],
        env={"PYTHONUNBUFFERED": "1"} | os.environ | {"SAGEMAKER_BASE_DIR": str(base)},
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
    path = base / "input" / "config" / "resourceconfig.json"
    try:
        return [str(host) for host in json.loads(path.read_text())["hosts"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"script mode needs {path}, which cannot be used ({type(error).__name__}: {error}); write an object with "
            '"current_host" and "hosts"'
        ) from error
