"""Runs the program that computes where the model looked (reports.try_page.activation), and asks it about one photo at a time."""

import contextlib
import json
import select
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from classifier.errors import UserError
from reports.try_page.answer import Look, LookRequest, to_line

SECONDS = 60.0  # seconds that one answer may take; the first includes loading torch and the model
GONE = "the process that computes where the model looked has ended; start byoc try again"


class Looker:
    """The running program that computes where a model looked. Threads may share it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process, self._lock = process, threading.Lock()
        # None before the first message of the program; then empty if it is ready, or the reason why it cannot answer.
        self._refusal: str | None = None

    def __call__(self, photo: Path, label: str) -> Look:
        """Return where in a photo the model finds evidence of the class `label`. Raises UserError with one sentence."""
        with self._lock:
            if self._refusal is None:
                self._refusal = self._read().error
            if self._refusal:
                raise UserError(self._refusal)
            assert self._process.stdin
            try:
                self._process.stdin.write(to_line(LookRequest(photo=str(photo), label=label)))
                self._process.stdin.flush()
            except OSError:
                raise UserError(GONE) from None
            found = self._read()
        if found.error:
            raise UserError(found.error)
        return found

    def _read(self) -> Look:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        if not ready:
            self._process.kill()  # otherwise the next photo would get the answer to this photo
            self._process.wait()  # until it has ended, the next photo would be sent to it
            raise UserError(f"where the model looked was not computed within {SECONDS:.0f} s; start byoc try again")
        line = self._process.stdout.readline()
        if not line:
            raise UserError(GONE)
        return Look(**json.loads(line))


@contextlib.contextmanager
def looking(command: Sequence[str]) -> Iterator[Looker]:
    """Run the program by `command` while the block lasts."""
    pipe = subprocess.PIPE
    # In a new session, the program does not receive Ctrl-C from the terminal. This process receives it, and then ends the program.
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8", start_new_session=True)
    try:
        yield Looker(process)
    finally:
        process.kill()  # the program holds no data that could be lost
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()
