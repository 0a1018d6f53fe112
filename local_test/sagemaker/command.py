"""`byoc emulate`: a local SageMaker, until Ctrl-C or until a command ends."""

import argparse
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from local_test.sagemaker.errors import StartError
from local_test.sagemaker.machine import Machine
from local_test.sagemaker.machine.images import Images
from local_test.sagemaker.machine.process import ProcessMachine
from local_test.sagemaker.server import listen, start
from local_test.sagemaker.settings import Settings

PROJECT = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator and return the exit status."""
    options = _parser().parse_args(argv)
    try:
        return _serve(options)
    except StartError as error:
        print(f"byoc: {error}", file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace) -> int:
    ended = threading.Event()
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        received.append(number)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    data = Path(options.data).resolve()
    lock = _locked(data)
    listener = listen(options.port)
    settings = Settings(
        data=data,
        programs=options.programs.absolute(),
        project=PROJECT,
        port=listener.getsockname()[1],
        run=options.run,
        hold=options.hold,
    )
    settings.work.mkdir(exist_ok=True)
    machine = _machine(settings)
    for name in machine.end_leftovers():
        print(f"ended {name}, which an emulator that was killed had left running", flush=True)
    server = start(settings, listener, machine, options.jobs)
    _greet(settings)
    ended.wait()
    server.end()
    lock.close()
    return 128 + received[0]


def _machine(settings: Settings) -> Machine:
    return ProcessMachine(settings.programs, Images(settings.project / "images.json"), settings.work)


def _locked(data: Path) -> IO[str]:
    """Take the data folder for this emulator; raises StartError when another has it."""
    data.mkdir(parents=True, exist_ok=True)
    lock = (data / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"another emulator uses {data}; end it, or name another folder with --data") from None
    return lock


def _greet(settings: Settings) -> None:
    lines = {
        "AWS_ENDPOINT_URL": settings.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    print(f"SageMaker on this machine: {settings.url}; its objects and jobs are in {settings.data}")
    print("\nA shell:\n  export " + " ".join(f"{name}={value}" for name, value in lines.items()))
    print(f"\nPython:\n  import os; os.environ.update({lines!r})")
    print(f"\nThe aws command:\n  aws --endpoint-url {settings.url} sagemaker list-training-jobs")
    print("\nCtrl-C ends it and all that it started.", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="byoc emulate", description="A local SageMaker: the API, and the jobs really run."
    )
    parser.add_argument("--port", type=int, default=0, help="on the loopback interface (default: any free one)")
    parser.add_argument(
        "--data",
        type=Path,
        default=PROJECT / "runs" / "sagemaker",
        metavar="DIR",
        help="keeps S3's objects, as files, and jobs",
    )
    parser.add_argument("--run", choices=("process",), default="process", help="default: %(default)s")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="hosts that train at a time")
    parser.add_argument(
        "--hold",
        type=float,
        default=0,
        metavar="SECONDS",
        help="let Describe of a running job wait so long for its end, so that clients that sleep are told at once",
    )
    parser.add_argument("--programs", type=Path, default=PROJECT / ".venv" / "bin", help=argparse.SUPPRESS)
    return parser
