"""`python -m train.toolkit`: stage a user's script as sagemaker-training does, run it, and say why it failed.

The toolkit's own runner is left out: it does not pass SIGTERM on, turns every status into 1, and its failure text does not
begin with the reason.
"""

import os
import signal
import subprocess
import sys
import tarfile
import threading
import traceback
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError, UserError
from train import stop
from train.contract import write_failure

DISTRIBUTED = "sagemaker_torch_distributed_enabled"
MPI = "sagemaker_mpi_enabled"
TAIL = 64 * 1024  # bytes of the script's stderr that are searched for a traceback
_TRACEBACK = "Traceback (most recent call last):"


def main() -> int:
    """Stage and run the script in this process's children, and return its exit status."""
    base = Path(os.environ["SAGEMAKER_BASE_DIR"])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(stop.STATUS))
    try:
        name, command, folder = _stage()
    except UserError as error:
        return fail(base, str(error))
    except Exception as error:
        return fail(base, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
    print(f"script mode: {' '.join(command)}", flush=True)
    status, errors = _execute(command, folder)
    if status and not (status == stop.STATUS and stop.requested.is_set()):
        killed = f" (killed by {name_of(status - 128)})" if status > 128 else ""
        sentence = f"{name} ended with status {status}{killed}"
        reason = _reason(errors)
        fail(base, f"{reason}\n\n{sentence}\n{errors[-2000:]}" if reason else sentence)
    return status


def _stage() -> tuple[str, list[str], str]:
    """Put the script and its requirements in place, and return its name, its command and the folder it runs in."""
    from sagemaker_training import entry_point, environment, errors, files, logging_config, runner

    # The toolkit unpacks archives as they are; this one refuses paths that lead out of the folder.
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    env = environment.Environment()
    logging_config.configure_logger(env.log_level)
    distributed = env.additional_framework_parameters
    if distributed.get(MPI):
        raise ConfigError(
            f"hyperparameter {MPI} is set, but there is no MPI here; use {DISTRIBUTED}, which is torchrun"
        )
    kind = runner.RunnerType.TorchDistributed if distributed.get(DISTRIBUTED) else runner.RunnerType.Process
    name, source, folder = env.user_entry_point, env.module_dir.removeprefix("file://"), environment.code_dir
    try:
        files.download_and_extract(source, folder)
    except (OSError, tarfile.TarError) as error:
        raise ConfigError(
            f"sagemaker_submit_directory {source!r} cannot be unpacked into {folder} ({error}); name a folder or a .tar.gz"
        ) from error
    try:
        entry_point.install(name, folder, capture_error=True)
    except (errors.InstallRequirementsError, errors.InstallModuleError) as error:
        # What the toolkit captured of pip's output is empty more often than not.
        raise ConfigError(
            f"pip could not install what {name} needs (`{error.cmd}` ended with status {error.return_code}, the log says why); "
            "where the job has no network, put the packages into the image"
        ) from error
    variables = env.to_env_vars()
    environment.write_env_vars(variables)
    # A runner's `run` is what loses the status; the command it would run is only to be had here.
    command = runner.get(kind, name, env.to_cmd_args(), variables)._create_command()
    if command[0] == "torchrun":
        command[:1] = [sys.executable, "-m", "torch.distributed.run"]  # also where it is not on the PATH
    elif command[0] == "/bin/sh":
        command[-1] = command[-1].strip('"')
    return name, command, folder


def _execute(command: list[str], folder: str) -> tuple[int, str]:
    """Run a command and return its status and the end of what it wrote to stderr, which passes through meanwhile."""
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, process_group=0)

    def forward(*_: object) -> None:
        stop.requested.set()
        if command[0] == "/bin/sh":
            os.killpg(process.pid, signal.SIGTERM)  # a shell passes nothing on
        else:
            process.terminate()  # not to its children: a script whose data loaders are killed fails

    signal.signal(signal.SIGTERM, forward)
    tail = bytearray()
    # In a thread, since a process that the script leaves behind may keep stderr open.
    reader = threading.Thread(target=_pass_through, args=(process.stderr, tail), daemon=True)
    reader.start()
    status = process.wait()
    reader.join(2)
    return status if status >= 0 else 128 - status, tail.decode(errors="replace")


def _pass_through(stream: Any, tail: bytearray) -> None:
    while chunk := os.read(stream.fileno(), TAIL):
        sys.stderr.buffer.write(chunk)
        sys.stderr.buffer.flush()
        tail += chunk
        del tail[:-TAIL]


def _reason(errors: str) -> str:
    """Return the line that says what went wrong: the last exception's, else the last one."""
    lines = [line.strip("\r") for line in errors.splitlines()]
    found = ""
    for start in (number for number, line in enumerate(lines) if line.endswith(_TRACEBACK)):
        # torchrun ends with a traceback of its own, which says nothing about the script's.
        line = next((line for line in lines[start + 1 :] if line and not line.startswith((" ", "\t"))), "")
        found = found if line.startswith("torch.distributed.elastic.") else line
    return found or next((line for line in reversed(lines) if line.strip()), "")


def name_of(number: int) -> str:
    """Return a signal's name."""
    try:
        return signal.Signals(number).name + (", as when memory runs out" if number == signal.SIGKILL else "")
    except ValueError:
        return f"signal {number}"


def fail(base: Path, message: str) -> int:
    """Print and write why the job failed, the useful sentence first, and return status 1."""
    print(f"training failed: {message.splitlines()[0]}", file=sys.stderr, flush=True)
    if not (base / "output" / "failure").exists():  # the script may have written its own
        write_failure(base, message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
