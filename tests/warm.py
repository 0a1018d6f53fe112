"""Runs the training program from a process that has imported the libraries: their imports take five of a small job's six seconds.

Run as a program, it imports them and waits. For each line of JSON on its standard input, it forks: the child becomes
`python -m train` with the arguments, environment and output files that the line names, and ends as the interpreter ends. The parent
answers with the child's exit status. So each run is a separate process, except for its start. Tests of the start, of signals and
of several hosts run the command itself, as all tests do inside the images.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

SECONDS = 900  # time limit of one run


class Warm:
    """A process that has imported the libraries and waits for runs."""

    def __init__(self) -> None:
        # Coverage starts in the child, with the name of its test.
        environment = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_START"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run `python -m train` and return its status and what it wrote."""
        with TemporaryDirectory() as folder:
            output, errors = Path(folder) / "output", Path(folder) / "errors"
            order = [list(arguments), dict(environment), str(output), str(errors), str(Path.cwd())]
            assert self._process.stdin and self._process.stdout
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            status = json.loads(self._process.stdout.readline())
            return subprocess.CompletedProcess(["train", *arguments], status, output.read_text(), errors.read_text())

    def end(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(300)
        self._process.stdout.close()


def main() -> None:
    import timm  # noqa: F401
    import torch._dynamo  # noqa: F401 - the first optimizer imports it
    import torchvision  # noqa: F401

    for line in sys.stdin:
        if child := os.fork():
            print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])), flush=True)
        else:
            become_train(*json.loads(line))


def become_train(arguments: list[str], environment: dict[str, str], output: str, errors: str, folder: str) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, output), (2, errors)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if "COVERAGE_PROCESS_START" in environment:
        import coverage

        coverage.process_startup(force=True)
    signal.alarm(SECONDS)  # the alarm ends a run that takes longer
    sys.argv = ["train", *arguments]
    runpy.run_module("train", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
