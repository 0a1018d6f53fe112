"""Jobs that name a user's script: lays them out, starts them with the command `train`, and reads their results."""

import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from launch.opt_ml import write_configuration

# Pip reads PIP_NO_BUILD_ISOLATION inverted: 0 turns isolation off.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
TRAIN = str(Path(sys.executable).parent / "train")
# Sends SIGTERM to a thread that is not the main thread, as the kernel may do, once there is a file `begun` in the folder argv[1].
TO_A_THREAD = """
import os, signal, sys, threading, time
def send():
    while not os.path.exists(sys.argv[1] + "/begun"):
        time.sleep(0.02)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=send, daemon=True).start()
"""


def lay_out(base: Path, program: str, text: str, **hyperparameters: Any) -> Path:
    """Write the files that a job with a script finds under /opt/ml, with values as the SDK sends them, and return the code's folder."""
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
    output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


def failure(base: Path) -> str:
    return (base / "output" / "failure").read_text()


def alive(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def left(pids: Iterable[str]) -> list[str]:
    """Return those processes that still run a minute after they were killed; a process closes its files a moment before it ends."""
    end = time.monotonic() + 60
    while (running := [pid for pid in pids if alive(pid)]) and time.monotonic() < end:
        time.sleep(0.02)
    return running


def sent(base: Path, **hyperparameters: Any) -> None:
    """Set hyperparameters of a job that was laid out, as the SDK sends them; the value None removes a hyperparameter."""
    path = base / "input" / "config" / "hyperparameters.json"
    values = json.loads(path.read_text()) | {name: json.dumps(value) for name, value in hyperparameters.items()}
    path.write_text(json.dumps({name: value for name, value in values.items() if value != "null"}))


def archived(archive: Path, *files: Path) -> Path:
    with tarfile.open(archive, "w:gz") as packed:
        for file in files:
            packed.add(file, file.name)
    return archive
