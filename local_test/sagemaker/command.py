"""`byoc emulate`: a local SageMaker, until Ctrl-C or until a command ends."""

import argparse
import fcntl
import os
import shutil
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from local_test.sagemaker import beside, environment, fault
from local_test.sagemaker.errors import StartError
from local_test.sagemaker.fault import ADDRESS, DATA
from local_test.sagemaker.machine.choice import choose
from local_test.sagemaker.server import Server, listen, start
from local_test.sagemaker.settings import Settings
from local_test.sagemaker.signals import Signals

LONGEST_HOLD = 25.0  # seconds; botocore gives up reading after 60
PROJECT = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator and return the exit status: that of the command, or 128 plus the number of the signal that ended it, or 1."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "fault" in arguments[:3]:  # after --programs, which the driver passes
        return fault.main(arguments[arguments.index("fault") + 1 :])
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options, command = _parser().parse_args(arguments[:cut]), arguments[cut + 1 :]
    signals = Signals()
    try:
        if cut < len(arguments) and not command:
            raise StartError("-- names no command; write for instance: byoc emulate -- python notebook.py")
        if not command:
            environment.refuse_real_keys(os.environ)
        return _emulate(options, command, signals)
    except StartError as error:
        print(f"byoc: {error}", file=sys.stderr)
        return 1


def _emulate(options: argparse.Namespace, command: list[str], signals: Signals) -> int:
    data = options.data.resolve()
    with _locked(data), listen(options.port) as listener:
        settings = Settings(
            data=data,
            programs=options.programs.absolute(),
            project=PROJECT,
            port=listener.getsockname()[1],
            hold=None if options.hold is None else min(options.hold, LONGEST_HOLD),
        )
        chosen = choose(options.run, settings)
        _say(chosen.why)
        for name in chosen.end_leftovers():
            _say(f"{name} was left running by an emulator that was killed; it is ended")
        _empty(settings.work)
        try:
            (data / ADDRESS).write_text(settings.url)
            server = start(settings, listener, chosen.machine, options.jobs)
        except (OSError, sqlite3.Error) as error:  # for instance because the disk is full
            raise StartError(
                f"{data} cannot be used: {error}; free some room, or name another folder with --data"
            ) from None
        _say(f"{settings.url}/_local/ shows jobs, endpoints, logs and S3 in a browser")
        try:
            return _until_the_end(server, settings, command, signals)
        finally:
            (data / ADDRESS).unlink(missing_ok=True)
            server.end()
            chosen.machine.end_leftovers()  # the processes of a job that did not end in time


def _until_the_end(server: Server, settings: Settings, command: list[str], signals: Signals) -> int:
    if command:
        return beside.run(command, settings, signals)
    beside.greet(settings)
    return 128 + signals.wait()


def _say(line: str) -> None:
    print(f"byoc: {line}", file=sys.stderr, flush=True)


def _empty(work: Path) -> None:
    """Make the folder for running jobs, and empty it first; raises StartError if it holds files that belong to a container's root."""
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir()
    except FileExistsError:
        raise StartError(
            f"{work} holds files that only root may remove, from a container of an emulator that was killed; start Docker and "
            f"this emulator again, or remove them: sudo rm -r {work}"
        ) from None


def _locked(data: Path) -> IO[str]:
    """Lock the data folder for this emulator; raises StartError if another emulator uses it."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("w")
    except OSError as error:
        raise StartError(f"{data} cannot be used: {error.strerror}; name another folder with --data") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"another emulator uses {data}; end it, or name another folder with --data") from None
    return lock


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="byoc emulate",
        usage="byoc emulate [OPTIONS] [-- COMMAND...]\n       byoc emulate fault KIND [TARGET]",
        description="A local SageMaker: it answers SageMaker's API on this machine and really runs the jobs. With a command,\n"
        "it runs as long as the command. The command's code needs no changes: requests to AWS go to the emulator.",
        epilog="examples:\n"
        "  byoc emulate -- python notebook.py\n"
        "  byoc emulate --run process --data runs/one-sagemaker\n"
        "  byoc emulate fault interrupt my-job",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="a port on the loopback interface (default: any free one)")
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        metavar="DIR",
        help="the folder that keeps S3's objects, as files, and the jobs (default: %(default)s)",
    )
    parser.add_argument(
        "--run",
        choices=("docker", "process"),
        help="how containers run (default: docker if Docker answers, else process)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="the most hosts that train at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--hold",
        type=float,
        metavar="SECONDS",
        help="seconds that Describe of a running job waits for the job's end, at most 25, so that clients that sleep between "
        "two requests learn it at once; 0 never waits (default: until the job is 15 s old, if it is at least 3 s old "
        "at the request)",
    )
    parser.add_argument("--programs", type=Path, default=PROJECT / ".venv" / "bin", help=argparse.SUPPRESS)
    return parser
