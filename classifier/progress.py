"""Show progress on standard error: a bar on a terminal, else a line every few seconds, since logs keep every redraw of a bar."""

import shutil
import sys
import time
from types import TracebackType

from tqdm import tqdm

LINE_SECONDS = 5.0


class Progress:
    """Shows the progress over `total` steps; `label` names the work. Work of less than two seconds shows nothing."""

    def __init__(self, label: str, total: int, unit: str, *, shown: bool = True) -> None:
        self._label, self._total, self._unit, self._done = label, total, unit, 0
        self._start = time.monotonic()
        shown = shown and sys.stderr is not None  # sys.stderr is None if the user closed it
        self._next_line = self._start + 2.0 if shown else float("inf")
        self._bar = None
        if shown and sys.stderr.isatty():
            # Trap: a terminal may report 0 columns and 0 lines. tqdm would then show nothing; shutil gives 80 and 24.
            columns, lines = shutil.get_terminal_size()
            self._bar = tqdm(
                desc=label, total=total, unit=f" {unit}", delay=1.0, leave=False, ncols=columns - 1, nrows=lines
            )

    def advance(self, steps: int = 1) -> None:
        """Count `steps` as done."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)
        elif (now := time.monotonic()) >= self._next_line:
            self._next_line = now + LINE_SECONDS
            rate = self._done / (now - self._start)
            print(
                f"{self._label}: {self._done:,} of {self._total:,} {self._unit}, {rate:,.1f}/s",
                file=sys.stderr,
                flush=True,
            )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
