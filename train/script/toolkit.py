"""The inner process of script mode: puts a user's script in place as sagemaker-training does, runs it, and reports its failure.

The toolkit's own runner is not used: it does not pass SIGTERM on, turns every exit status into 1, and writes a failure text that
does not begin with the reason.
"""

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError, UserError
from classifier.names import one_line
from train import stop
from train.contract import write_failure
from train.environment import BASE, PYTHONPATH, SCRIPT, SMDEBUG_CONFIG, SUBMIT_DIRECTORY
from train.json_file import read_object
from train.places import denied
from train.script import staging
from train.script.reasons import reason_in, remedy
from train.script.staging import fetch, install

DISTRIBUTED = "sagemaker_torch_distributed_enabled"
DISTRIBUTED_ELSEWHERE = (
    "sagemaker_mpi_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
)
CALL = (
    "import importlib, sys; folder, module, function = sys.argv[1:]; del sys.argv[1:]; sys.path.insert(0, folder); "
    "getattr(importlib.import_module(module), function)()"
)
TAIL = 64 * 1024  # bytes at the end of the script's stderr that are searched for a traceback


def main() -> int:
    """Put the script in place, run it as a child of this process, and return its exit status."""
    base = BASE.read()
    with tempfile.TemporaryDirectory(prefix="byoc-script-", ignore_cleanup_errors=True) as scratch:
        try:
            name, command, folder = _stage(base, Path(scratch))
        except UserError as error:
            return fail(base, str(error))
        except Exception as error:
            if sentence := denied(error):
                return fail(base, sentence)
            return fail(base, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
        print(f"script mode: {shlex.join(command)}", flush=True)
        status, errors = _execute(command, folder)
    if status and not (status == stop.STATUS and stop.requested.is_set()):
        killed = f" (killed by {name_of(status - 128)})" if status > 128 else ""
        reason = reason_in(errors)
        sentence = f"{name} ended with status {status}{killed}{remedy(name, reason, _channels(base))}"
        fail(base, f"{reason}\n\n{sentence}\n{errors[-2000:]}" if reason else sentence)
    return status


def _stage(base: Path, scratch: Path) -> tuple[str, list[str], Path]:
    """Put the code and its requirements in place, and return its name, its command and the folder it runs in."""
    try:
        from sagemaker_training import environment, logging_config
    except OSError as error:  # importing this module makes the folder for code
        raise ConfigError(
            f"script mode needs to write to {error.filename} ({error.strerror}); mount a folder there that may be written to"
        ) from error
    try:
        env = environment.Environment()
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"script mode needs hyperparameters.json, inputdataconfig.json and resourceconfig.json in {base}/input/config as "
            f"the platform writes them ({type(error).__name__}: {error})"
        ) from error
    logging_config.configure_logger(env.log_level)
    for name in DISTRIBUTED_ELSEWHERE:
        if env.additional_framework_parameters.get(name):
            raise ConfigError(
                f"hyperparameter {name} is set, but this image does not have its library; use {DISTRIBUTED}, which is torchrun"
            )
    folder = Path(environment.code_dir)
    variables = env.to_env_vars() | debugger_settings(base, scratch)
    if env.framework_module:
        name, command, where = env.framework_module, _call(env.framework_module, folder), Path.cwd()
    else:
        name, where = env.user_entry_point, folder
        given = environment.read_hyperparameters()
        fetch(
            given.get("sagemaker_submit_directory") or SUBMIT_DIRECTORY.read() or str(folder),
            folder,
        )
        install(name, folder)
        command = _command(env, name, folder, variables)
    environment.write_env_vars(variables | {SCRIPT.name: name})
    # The user's folder comes last, not first as in the toolkit: a train.py in it must not hide the package `train`.
    PYTHONPATH.set(":".join([*(path for path in sys.path if Path(path) != folder), str(folder)]))
    return name, command, where


def _command(env: Any, name: str, folder: Path, variables: dict[str, str]) -> list[str]:
    from sagemaker_training import errors, runner

    if not env.additional_framework_parameters.get(DISTRIBUTED):
        return staging.command(name, folder, env.to_cmd_args())
    try:
        # The runner's method `run` would lose the exit status, so only the runner's command is used.
        command = runner.get(runner.RunnerType.TorchDistributed, name, env.to_cmd_args(), variables)._create_command()
    except errors.ClientError as error:
        raise ConfigError(
            f"hyperparameter {DISTRIBUTED} is set, but {name} is not a Python script ({error})"
        ) from error
    # Without this, torchrun waits five minutes if the container's host name does not resolve.
    alone = ["--local-addr", "127.0.0.1"] if len(env.hosts) == 1 else []
    # Also works if torchrun is not on the PATH.
    return [
        sys.executable,
        "-P",
        "-m",
        "torch.distributed.run",
        *alone,
        *command[1:],
    ]


def _call(module: str, folder: Path) -> list[str]:
    """Return the command that calls a function, written as package.module:function; its module may be in `folder`."""
    name, _, function = module.partition(":")
    if not name or not function:
        raise ConfigError(f"SAGEMAKER_TRAINING_MODULE is {module!r}; write it as package.module:function")
    return [sys.executable, "-P", "-c", CALL, str(folder), name, function]


def debugger_settings(base: Path, scratch: Path) -> dict[str, str]:
    """Return the environment variables by which smdebug in a script finds its configuration.

    Without a configuration, smdebug cannot make its hook. If the platform wrote none, a temporary configuration that keeps losses is made.
    """
    if SMDEBUG_CONFIG.read():
        return {}
    path = base / "input" / "config" / "debughookconfig.json"
    if not path.exists():
        path = scratch / path.name
        path.write_text(json.dumps({"LocalPath": str(scratch / "tensors")}))
    return {SMDEBUG_CONFIG.name: str(path)}


def _execute(command: list[str], folder: Path) -> tuple[int, str]:
    """Run a command and return its exit status and the end of its stderr, which is passed on while it runs."""
    stop.install()
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, process_group=0)

    def forward(*_: object) -> None:
        stop.requested.set()
        if command[0] == "/bin/sh":
            os.killpg(process.pid, signal.SIGTERM)  # a shell does not pass signals on
        else:
            process.terminate()  # only to the script: it would fail if its data loaders ended

    signal.signal(signal.SIGTERM, forward)
    if stop.requested.is_set():
        forward()
    tail, ended = bytearray(), threading.Event()
    reader = threading.Thread(target=_pass_through, args=(process.stderr, tail, ended), daemon=True)
    reader.start()
    status = stop.status_of(process)
    ended.set()
    reader.join()
    return status if status >= 0 else 128 - status, tail.decode(errors="replace")


def _pass_through(stream: Any, tail: bytearray, ended: threading.Event) -> None:
    """Pass on what comes through a pipe, until the pipe is closed, or until the script has `ended` and the pipe is empty.

    Processes that the script leaves behind may keep the pipe open.
    """
    more = True
    while more:
        more = not ended.is_set()
        if select.select([stream], [], [], 0.1 if more else 0)[0]:
            chunk = os.read(stream.fileno(), TAIL)  # a pipe holds at most 64 kB
            more = more and bool(chunk)
            sys.stderr.buffer.write(chunk)
            sys.stderr.buffer.flush()
            tail += chunk
            del tail[:-TAIL]


def _channels(base: Path) -> list[str]:
    return list(read_object(base / "input" / "config" / "inputdataconfig.json"))


def name_of(number: int) -> str:
    """Return a signal's name, with a hint on SIGKILL."""
    try:
        return signal.Signals(number).name + (", as when memory runs out" if number == signal.SIGKILL else "")
    except ValueError:
        return f"signal {number}"


def fail(base: Path, message: str) -> int:
    """Print the first line of the failure text, write all of it to output/failure, and return status 1."""
    print(f"training failed: {one_line(message.splitlines()[0])}", file=sys.stderr, flush=True)
    path = base / "output" / "failure"
    try:
        if not path.exists():  # the script may have written its own
            write_failure(base, message)
    except OSError as error:
        print(f"the failure text could not be written to {path} ({error.strerror})", file=sys.stderr, flush=True)
    return 1
